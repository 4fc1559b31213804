import Glibc

// The fuzzers of every decoder that reads bytes from a disk or a user, for `make fuzz`:
//
//     enginefuzz list                       names the decoders
//     enginefuzz seeds DIR                  writes DIR/DECODER/*: real bytes, from a real store
//     enginefuzz DECODER [FLAG | PATH]...   runs libFuzzer with its flags and corpora, or on files
//
// The main function is libFuzzer's. What is broken is a trap: a wrong result by `precondition`, a
// read out of bounds by the address sanitizer, too much memory by libFuzzer's limits.

/// The decoder that runs; set once, before the first input.
nonisolated(unsafe) private var decoder: any FuzzedDecoder.Type = StoreMarkDecoder.self

/// Takes the words that are ours out of the arguments.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> CInt {
    let words = CommandLine.arguments
    switch words.dropFirst().first {
    case "list":
        for decoder in Decoders.all { print(decoder.name) }
        exit(0)
    case "seeds" where words.count == 3:
        do {
            try Seeds().write(to: words[2])
            exit(0)
        } catch {
            print("FAILED: \(error)")
            exit(1)
        }
    case let name?:
        guard let found = Decoders.all.first(where: { $0.name == name }) else { usage() }
        decoder = found
        // libFuzzer repeats its first argument when it starts itself, and reads from the second on.
        let list = arguments.pointee
        for index in 1..<Int(count.pointee) { list[index] = list[index + 1] }
        count.pointee -= 1
        return 0
    case nil: usage()
    }
}

private func usage() -> Never {
    print("usage: enginefuzz list | seeds DIR | DECODER [FLAG | PATH]...")
    exit(1)
}

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    decoder.check(UnsafeRawBufferPointer(start: data, count: size))
    return 0
}
