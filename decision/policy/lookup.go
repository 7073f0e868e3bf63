package policy

import "strings"

// Lookups lists what can be looked up for a request that does not bring it: the
// needs but for conversation.*, which only a request can say, each once and under
// the name that bots save it by. The slice must not be changed.
func (s *Set) Lookups() []string { return s.lookups }

func lookupsOf(needs []string) []string {
	var out []string
	seen := make(map[string]bool, len(needs))
	for _, name := range needs {
		if f, alias := builtin(name); f == fieldChannel || f == fieldIntent || f == fieldMessage {
			name = alias
		}
		if !seen[name] && !strings.HasPrefix(name, conversationPrefix) {
			out, seen[name] = append(out, name), true
		}
	}
	return out
}

// Lookup finds an attribute by its whole name, else by walking into an object whose
// name it begins with, the longest beginning first. It is how policies read
// attributes; nil says that there is none. A name that is there with nil hides what
// objects have of it.
func Lookup(attributes map[string]any, name string) any {
	if v, ok := attributes[name]; ok {
		return v
	}
	for at := strings.LastIndexByte(name, '.'); at > 0; at = strings.LastIndexByte(name[:at], '.') {
		if v, ok := attributes[name[:at]]; ok {
			if v = inside(v, name[at+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}

// inside walks a dotted path, one object for each part.
func inside(v any, path string) any {
	for more := true; more; {
		inner, isObject := v.(map[string]any)
		if !isObject {
			return nil
		}
		var part string
		part, path, more = strings.Cut(path, ".")
		v = inner[part]
	}
	return v
}
