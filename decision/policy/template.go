package policy

import (
	"strconv"
	"strings"

	"github.com/usherhq/usher/internal/braces"
)

// segment is literal text, or an attribute to be filled in.
type segment struct {
	text, attribute string
	slot            int
}

// template is a text with {{attribute}} in it.
type template []segment

// parseTemplate never fails: braces that name nothing are text.
func parseTemplate(text string) template {
	var t template
	for _, s := range braces.Split(text) {
		t = append(t, segment{text: s.Text, attribute: s.Name})
	}
	if len(t) == 0 {
		t = template{{}}
	}
	return t
}

func (t template) constant() bool { return len(t) == 1 && t[0].attribute == "" }

// value fills the template. A template that is nothing but one attribute keeps
// its type, anything else is text.
func (t template) value(in *Input) any {
	if len(t) == 1 && t[0].attribute != "" {
		if in.redacting && in.personal(t[0].slot) {
			return Redacted
		}
		return in.values[t[0].slot].boxed()
	}
	return t.text(in)
}

func (t template) text(in *Input) string {
	if t.constant() {
		return t[0].text
	}
	var b strings.Builder
	for i := range t {
		if t[i].attribute == "" {
			b.WriteString(t[i].text)
			continue
		}
		if in.redacting && in.personal(t[i].slot) {
			b.WriteString(Redacted)
			continue
		}
		in.values[t[i].slot].spell(&b)
	}
	return b.String()
}

// text spells a value on its own.
func (v *value) text() string {
	if v.kind == kindString {
		return v.str
	}
	var b strings.Builder
	v.spell(&b)
	return b.String()
}

// spell writes a value as people would: no exponent, lists with commas.
func (v *value) spell(b *strings.Builder) {
	switch v.kind {
	case kindString:
		b.WriteString(v.str)
	case kindNumber:
		b.WriteString(strconv.FormatFloat(v.num, 'f', -1, 64))
	case kindBool:
		b.WriteString(strconv.FormatBool(v.num == 1))
	case kindList:
		for i, element := range v.list() {
			if i > 0 {
				b.WriteString(", ")
			}
			e := valueOf(element)
			e.spell(b)
		}
	case kindMissing, kindOther:
	}
}
