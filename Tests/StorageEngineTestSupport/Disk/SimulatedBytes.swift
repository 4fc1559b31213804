/// The bytes of a simulated file: pages of zeros are not stored, copies share their pages.
struct SimulatedBytes: Sendable {
    static let pageSize: UInt64 = 4096

    private(set) var size: UInt64 = 0
    /// Whole pages by number. Invariant: their bytes from `size` on are zero.
    private var pages: [UInt64: [UInt8]] = [:]

    /// The bytes of a range, as far as the file goes.
    func read(_ range: Range<UInt64>) -> [UInt8] {
        let range = range.clamped(to: 0..<size)
        var bytes = [UInt8](repeating: 0, count: range.count)
        _ = bytes.withUnsafeMutableBytes { read(into: $0, at: range.lowerBound) }
        return bytes
    }

    /// Copies what there is from an offset on, and returns how many bytes that was.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        let range = (offset..<offset + UInt64(target.count)).clamped(to: 0..<size)
        for piece in pieces(of: range) {
            let part = UnsafeMutableRawBufferPointer(rebasing: target[piece.inRange])
            if let bytes = pages[piece.page] {
                bytes.withUnsafeBytes { part.copyMemory(from: .init(rebasing: $0[piece.inPage])) }
            } else {
                part.initializeMemory(as: UInt8.self, repeating: 0)
            }
        }
        return range.count
    }

    /// Writes bytes, and extends the file when they end behind it.
    mutating func write(_ bytes: ArraySlice<UInt8>, at offset: UInt64) {
        let range = offset..<offset + UInt64(bytes.count)
        if !range.isEmpty { size = max(size, range.upperBound) }
        bytes.withUnsafeBytes { source in
            for piece in pieces(of: range) {
                let part = UnsafeRawBufferPointer(rebasing: source[piece.inRange])
                if pages[piece.page] == nil {
                    guard part.contains(where: { $0 != 0 }) else { continue }
                    pages[piece.page] = [UInt8](repeating: 0, count: Int(Self.pageSize))
                }
                pages[piece.page]?.withUnsafeMutableBytes { page in
                    UnsafeMutableRawBufferPointer(rebasing: page[piece.inPage])
                        .copyMemory(from: part)
                }
            }
        }
    }

    /// Cuts the file, or extends it with zeros.
    mutating func resize(to newSize: UInt64) {
        let oldSize = size
        size = newSize
        guard newSize < oldSize else { return }
        let kept = (newSize + Self.pageSize - 1) / Self.pageSize
        pages = pages.filter { $0.key < kept }
        let used = Int(newSize % Self.pageSize)
        guard used > 0 else { return }
        pages[newSize / Self.pageSize]?.withUnsafeMutableBytes { page in
            for index in used..<page.count { page[index] = 0 }
        }
    }

    /// Takes the pages that overlap a range from another version of the file.
    mutating func sharePages(of range: Range<UInt64>, from other: SimulatedBytes) {
        for piece in pieces(of: range) { pages[piece.page] = other.pages[piece.page] }
    }

    /// A part of a range that lies in one page.
    private struct Piece {
        let page: UInt64
        let inPage: Range<Int>
        let inRange: Range<Int>
    }

    private func pieces(of range: Range<UInt64>) -> [Piece] {
        guard !range.isEmpty else { return [] }
        let first = range.lowerBound / Self.pageSize
        let last = (range.upperBound - 1) / Self.pageSize
        return (first...last).map { page in
            let start = page * Self.pageSize
            let part = range.clamped(to: start..<start + Self.pageSize)
            let inRange = Int(part.lowerBound - range.lowerBound)
            return Piece(
                page: page,
                inPage: Int(part.lowerBound - start)..<Int(part.upperBound - start),
                inRange: inRange..<inRange + part.count
            )
        }
    }
}
