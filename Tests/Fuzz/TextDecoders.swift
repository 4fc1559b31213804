import ToolSupport

/// A line of TSV.
enum TSVDecoder: FuzzedDecoder {
    static let name = "tsv"

    static func check(_ input: UnsafeRawBufferPointer) {
        let line = input.copied
        // As export wrote it, and with the key elsewhere.
        for field in [nil, "2", "9"] { _ = record(line[...], field) }
        guard let found = record(line[...], nil) else { return }
        var again: [UInt8] = []
        TSV.append(found.key, to: &again)
        again.append(0x09)
        TSV.append(found.value, to: &again)
        let read = record(again[...], nil)
        precondition(read?.key == found.key && read?.value == found.value, "a record reads back")
    }

    private static func record(
        _ line: ArraySlice<UInt8>,
        _ field: String?
    ) -> RecordParser.Record? {
        do { return try RecordParser(.tsv, keyField: field).record(line) } catch { return nil }
    }
}

/// A line of NDJSON.
enum NDJSONDecoder: FuzzedDecoder {
    static let name = "ndjson"

    static func check(_ input: UnsafeRawBufferPointer) {
        let line = input.copied
        _ = record(line[...], "id")
        guard let found = record(line[...], nil) else { return }
        let members = [
            JSON.member("key", bytes: Array(found.key)),
            JSON.member("value", bytes: Array(found.value)),
        ]
        let again = Array(JSON.object(members).text.utf8)
        let read = record(again[...], nil)
        precondition(read?.key == found.key && read?.value == found.value, "a record reads back")
    }

    private static func record(
        _ line: ArraySlice<UInt8>,
        _ field: String?
    ) -> RecordParser.Record? {
        do { return try RecordParser(.ndjson, keyField: field).record(line) } catch { return nil }
    }
}
