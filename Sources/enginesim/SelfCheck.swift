import Glibc
import StorageEngineTestSupport

/// Runs seeds again in processes of their own, where hashed collections have another order and
/// memory lies elsewhere: the traces must be the same, bit by bit.
struct SelfCheck {
    private let arguments: Arguments

    init(_ arguments: Arguments) { self.arguments = arguments }

    func run(_ hashes: [UInt64: UInt64]) throws -> Tally {
        var tally = Tally()
        let chosen = hashes.filter { $0.key % arguments.repeatEvery == 0 }
        for (seed, hash) in chosen.sorted(by: { $0.key < $1.key }) {
            let again = try hashInOtherProcess(of: seed)
            tally.add("totals", "seeds run twice")
            guard again == hash else {
                throw SimulationFailure(
                    .traceMismatch,
                    "seed \(seed): two runs have different traces, \(hash) and \(again ?? 0)"
                )
            }
        }
        return tally
    }

    private func hashInOtherProcess(of seed: UInt64) throws -> UInt64? {
        let samples = arguments.plan.samples.map { "\($0)" } ?? "all"
        let command =
            "'\(try programPath())' --seeds '\(seed)..<\(seed + 1)' --hash yes --operations "
            + "\(arguments.plan.operations) --samples \(samples)"
        guard let output = popen(command, "r") else {
            throw SimulationFailure("cannot start a process, errno \(errno)")
        }
        defer { pclose(output) }
        var line = [CChar](repeating: 0, count: 200)
        guard fgets(&line, Int32(line.count), output) != nil else { return nil }
        let text = String(
            decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        let words = text.split { $0 == " " || $0 == "\n" }
        return words.last.flatMap { UInt64($0) }
    }

    private func programPath() throws -> String {
        var path = [UInt8](repeating: 0, count: 4096)
        let count = path.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { buffer in
                buffer.baseAddress.map { readlink("/proc/self/exe", $0, buffer.count) } ?? -1
            }
        }
        guard count > 0 else { throw SimulationFailure("who am I? errno \(errno)") }
        return String(decoding: path[..<count], as: UTF8.self)
    }
}
