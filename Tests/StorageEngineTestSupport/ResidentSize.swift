internal import Glibc

/// The bytes of memory that this process holds; `nil` when the system does not say.
package func residentSize() -> Int? {
    guard let file = fopen("/proc/self/statm", "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, 256, file) != nil else { return nil }
    let text = String(decoding: line.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return Int(text.split(separator: " ")[1]).map { $0 * sysconf(Int32(_SC_PAGESIZE)) }
}
