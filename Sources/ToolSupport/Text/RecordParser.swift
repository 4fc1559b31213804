/// The form of what is imported.
package enum InputFormat: String, CaseIterable, Sendable { case tsv, ndjson }

/// Turns lines into keys and values.
package struct RecordParser {
    package struct Record {
        package let key: ArraySlice<UInt8>
        package let value: ArraySlice<UInt8>
    }

    private enum Source {
        /// TSV, the key is the field at an index.
        case field(Int)
        /// NDJSON, objects with key and value.
        case entry
        /// NDJSON, the key is a member.
        case member(String)
    }

    private let source: Source

    package init(_ format: InputFormat, keyField: String?) throws {
        switch format {
        case .tsv:
            guard let number = Int(keyField ?? "1"), number >= 1 else {
                throw ToolError("reading the arguments: --key-field of TSV is a number from 1")
            }
            source = .field(number - 1)
        case .ndjson: source = keyField.map(Source.member) ?? .entry
        }
    }

    /// The record of a line.
    ///
    /// - Throws: ``Malformed``.
    package func record(_ line: ArraySlice<UInt8>) throws(Malformed) -> Record {
        switch source {
        case .field(let index): try record(line, keyAt: index)
        case .entry: try entry(line)
        case .member(let name): try Record(key: key(line, name), value: line)
        }
    }

    /// What is wrong with a line.
    package struct Malformed: Error { package let reason: String }

    // MARK: - TSV

    private func record(_ line: ArraySlice<UInt8>, keyAt index: Int) throws(Malformed) -> Record {
        var fieldStart = line.startIndex
        for number in 0..<index {
            guard let tab = line[fieldStart...].firstIndex(of: 0x09) else {
                throw Malformed(
                    reason: "\(number + 1) fields, the key is expected in field \(index + 1)"
                )
            }
            fieldStart = tab + 1
        }
        let tab = line[fieldStart...].firstIndex(of: 0x09)
        var rest = line[(tab.map { $0 + 1 } ?? line.endIndex)...]
        if index > 0 {
            // With the TAB behind the fields before, which joins them to those behind the key.
            rest = (tab == nil ? line[..<(fieldStart - 1)] : line[..<fieldStart]) + rest
        }
        guard let key = TSV.unescaped(line[fieldStart..<(tab ?? line.endIndex)]),
            let value = TSV.unescaped(rest)
        else { throw Malformed(reason: "an escape other than \\\\ \\t \\n \\r") }
        return Record(key: key, value: value)
    }

    // MARK: - NDJSON

    private func members(
        _ line: ArraySlice<UInt8>,
        _ names: Set<String>
    ) throws(Malformed) -> [String: JSONScanner.Member] {
        var scanner = JSONScanner(line)
        do throws(JSONScanner.Failure) {
            return try scanner.members(names)
        } catch {
            throw Malformed(reason: error.message)
        }
    }

    private func key(
        _ line: ArraySlice<UInt8>,
        _ name: String
    ) throws(Malformed) -> ArraySlice<UInt8> {
        switch try members(line, [name])[name] {
        case .string(let key), .number(let key): return key[...]
        case .other, nil:
            throw Malformed(reason: "expected a member '\(name)' that is a string or a number")
        }
    }

    private func entry(_ line: ArraySlice<UInt8>) throws(Malformed) -> Record {
        let found = try members(line, ["key", "keyBase64", "value", "valueBase64"])
        return try Record(key: bytes(found, "key"), value: bytes(found, "value"))
    }

    /// The bytes of a string, or those that a Base64 string stands for.
    private func bytes(
        _ found: [String: JSONScanner.Member],
        _ name: String
    ) throws(Malformed) -> ArraySlice<UInt8> {
        switch (found[name], found[name + "Base64"]) {
        case (.string(let text), nil): return text[...]
        case (nil, .string(let text)):
            guard let bytes = Base64.bytes(of: text) else {
                throw Malformed(reason: "\(name)Base64 is not Base64 with padding")
            }
            return bytes[...]
        default: throw Malformed(reason: "expected a string '\(name)' or '\(name)Base64'")
        }
    }
}
