internal import Glibc

@main
enum Main {
    static func main() {
        let code = runTool(EngineBench.self)
        TemporaryDirectory.removeAll()
        exit(code.rawValue)
    }
}
