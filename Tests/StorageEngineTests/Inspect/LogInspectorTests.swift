import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What the inspector says of healthy, live and damaged logs.
@Suite struct LogInspectorTests {
    private let fileSystem = SimulatedFileSystem()

    @Test func aClosedStoreIsWhole() throws {
        try write(keys: 0..<4)

        let (inspection, lines) = try inspect()

        #expect(!inspection.isDamaged && !inspection.hasMissingFiles && inspection.gaps == 0)
        #expect(inspection.records == 4 && inspection.lastSequence == 4)
        #expect(
            lines == [
                "0 file 1", "4096 frame 1", "4096 record 1", "4152 frame 2", "4152 record 2",
                "4192 frame 3", "4192 record 3", "4232 frame 4", "4232 record 4", "4272 frame 4",
            ]
        )
    }

    @Test func theEndOfALiveLogIsNoDamage() throws {
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "a", ack: .wal).code == nil)
        try change(1, at: 4200) { _ in 7 }

        let (inspection, lines) = try inspect()

        #expect(!inspection.isDamaged && inspection.records == 1)
        #expect(lines.contains { $0.contains("gap") && $0.hasSuffix("false") })
    }

    @Test func aFlippedByteIsDamageAndWhatFollowsIsShown() throws {
        // The second opening begins with a restart frame in a file of its own.
        try write(keys: 0..<3)
        try write(keys: 3..<6)
        try change(1, at: 4160) { $0 ^ 4 }

        let (inspection, lines) = try inspect()

        #expect(inspection.isDamaged && inspection.gaps == 1 && inspection.records == 4)
        #expect(lines.contains { $0.hasPrefix("4152 gap") && $0.hasSuffix("true") })
    }

    @Test func aMissingFileIsTold() throws {
        for round in 0..<3 { try write(keys: round..<round + 1) }
        let directory = try StoreDirectory.open(path: "db", in: fileSystem)
        try directory.durableRemove([.log(2)])

        let (inspection, lines) = try inspect()

        #expect(inspection.hasMissingFiles && !inspection.isDamaged && inspection.records == 2)
        #expect(lines.contains("0 error logGap"))
    }

    @Test func aMissingEndIsTold() throws {
        try write(keys: 0..<1)
        try write(keys: 1..<2)
        let directory = try StoreDirectory.open(path: "db", in: fileSystem)
        try directory.durableRemove([.log(2)])

        #expect(try inspect().0.hasMissingFiles)
    }

    private func write(keys: Range<Int>) throws {
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        for key in keys {
            #expect(try stepper.put("value", for: "key\(key)", ack: .wal).code == nil)
        }
        try engine.close()
    }

    private func change(_ number: UInt64, at offset: UInt64, _ body: (UInt8) -> UInt8) throws {
        let directory = try StoreDirectory.open(path: "db", in: fileSystem)
        let file = try directory.open(.log(number), for: .readWrite)
        let byte = try #require(try file.read(count: 1, at: offset).first)
        try file.writeFully([body(byte)], at: offset)
    }

    /// The inspection, and its events as short lines.
    private func inspect() throws -> (LogInspection, [String]) {
        var lines: [String] = []
        let directory = try StoreDirectory.open(path: "db", in: fileSystem)
        let inspection = try LogInspector(directory).run { place, event in
            let what =
                switch event {
                case .file(let header, _): "file \(header?.fileNumber ?? 0)"
                case .frame(let frame): "frame \(frame.lastSequence)"
                case .record(let head, _): "record \(head.sequence)"
                case .gap(let length, _, _, let isDamage): "gap \(length) \(isDamage)"
                case .error(let error): "error \(error.code.rawValue)"
                }
            lines.append("\(place.offset) \(what)")
        }
        return (inspection, lines)
    }
}
