package function

import (
	"strings"
	"testing"
)

// TestAsyncMainIsRefusedWhenSaved: nobody would wait for its promise.
func TestAsyncMainIsRefusedWhenSaved(t *testing.T) {
	for _, source := range []string{
		"async function main(args) { return 1; }", "const a = 1; async function main() {}", "const main = async (args) => 1;",
		"/* about */ async\n function main() {}",
	} {
		if _, err := compile(source); err == nil || !strings.Contains(err.Error(), "main is async") {
			t.Errorf("%s: %v", source, err)
		}
	}
	for _, source := range []string{
		"// async function main\nfunction main() { return 1; }", "/*\nasync function main() {}\n*/ function main() { return 1; }",
		"function main() { return 'async function main'; }",
	} {
		if _, err := compile(source); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}
