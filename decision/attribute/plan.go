package attribute

import (
	"strings"

	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/decision/function"
)

// Sources of attributes, as records name them.
const (
	sourceConversation = "context:conversation"
	sourceConsumer     = "context:consumer"
	sourceGlobal       = "context:global"
	sourceStatic       = "custom"
	sourceCaptured     = "sde"
	sourceFunction     = "function"
)

// families of attributes with a place of their own.
const (
	customFamily       = "custom"
	conversationFamily = "conversation"
	consumerFamily     = "consumer"
)

// plan decides where an attribute comes from. Static ones are there at once; those
// that arguments of a function are made of are planned with it.
func (s *search) plan(name string) {
	name = canonical(name)
	if s.hidden(name) {
		return
	}
	if _, there := s.planned[name]; there {
		return
	}
	s.planned[name] = false
	a, rest, ok := s.declared(name)
	switch {
	case ok && a.Source == catalog.SourceStatic:
		if v, there := function.Select(a.Value, rest); there {
			s.put(name, v, sourceStatic)
		}
		return
	case ok && a.Source == catalog.SourceFunction:
		s.asked = append(s.asked, asked{name, rest, a})
		for _, need := range a.Needs() {
			if _, brought := requestValue(s.q.Request, need); !brought {
				s.plan(need)
			}
		}
		return
	}
	family, path, dotted := strings.Cut(name, ".")
	if !dotted {
		return
	}
	switch family {
	case customFamily, conversationFamily:
	case consumerFamily:
		s.saved = append(s.saved,
			saved{name, contextstore.CaptureNamespace, "visitorinfo.customerinfo." + path},
			saved{name, contextstore.CaptureNamespace, "visitorinfo.personalinfo." + path})
	default:
		s.saved = append(s.saved, saved{name, family, path})
	}
}

// canonical is the one name under which a field of the request is saved.
func canonical(name string) string {
	switch name {
	case "channel", "intent":
		return "orchestrator." + name
	case "user_message":
		return "orchestrator.userMessage"
	}
	return name
}

// hidden reports whether the account has switched the attribute's family off.
func (s *search) hidden(name string) bool {
	families := s.r.deps.Catalog.Families(s.q.Account)
	return !families.SDE && strings.HasPrefix(name, "sde.") || !families.Conversation && strings.HasPrefix(name, "conversation.")
}

// declared finds the attribute of the catalogue that the name is, or that the
// longest beginning of the name is; rest is the path inside of its value.
func (s *search) declared(name string) (a catalog.Attribute, rest string, ok bool) {
	for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '.') {
		if a, ok = s.r.deps.Catalog.Attribute(s.q.Account, name[:end]); ok {
			if end < len(name) {
				rest = name[end+1:]
			}
			return a, rest, true
		}
	}
	return a, "", false
}
