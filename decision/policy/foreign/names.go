package foreign

import (
	"strconv"
	"strings"

	"github.com/usherhq/usher/decision/policy"
)

// maxName is the length of a policy's id.
const maxName = 63

// Slug makes a policy's id of a name for people: small letters, digits and single
// hyphens. It is empty when the name has none of either, and never that of the
// default policy.
func Slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(plain().Replace(name)) {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == maxName {
			break
		}
	}
	slug := strings.TrimRight(b.String(), "-")
	if slug == policy.DefaultName {
		return slug + "-policy"
	}
	return slug
}

// plain spells the letters of European languages without their marks.
func plain() *strings.Replacer {
	marks := map[string]string{
		"a": "àáâãåăąÀÁÂÃÅĂĄ", "ae": "äæÄÆ", "c": "çćčÇĆČ", "d": "ďđĎĐ", "e": "èéêëęěÈÉÊËĘĚ", "g": "ğĞ", "i": "ìíîïıÌÍÎÏİ", "l": "łŁ",
		"n": "ñńňÑŃŇ", "o": "òóôõøőÒÓÔÕØŐ", "oe": "öœÖŒ", "r": "řŘ", "s": "śšşșŚŠŞȘ", "ss": "ß", "t": "ťțŤȚ", "u": "ùúûůűÙÚÛŮŰ", "ue": "üÜ",
		"y": "ýÿÝ", "z": "źżžŹŻŽ",
	}
	var pairs []string
	for letter, marked := range marks {
		for _, r := range marked {
			pairs = append(pairs, string(r), letter)
		}
	}
	return strings.NewReplacer(pairs...)
}

// claim gives the policy at hand an id that no other of the document has: the
// name when it is an id, else one made of the title. It warns where people would
// look for the policy under another name.
func (r *reader) claim(name, title, path string, isDefault bool) string {
	// In Usher's own documents an id is meant as it stands.
	twice := r.format == FormatUsher && policy.ValidName(name)
	id := name
	if !policy.ValidName(id) || id == policy.DefaultName && !isDefault {
		if id = Slug(name); id == "" {
			id = Slug(title)
		}
	}
	if id == "" {
		id = "policy-" + strconv.Itoa(len(r.ids)+1)
	}
	free := id
	for n := 2; r.ids[free]; n++ {
		suffix := "-" + strconv.Itoa(n)
		free = id[:min(len(id), maxName-len(suffix))] + suffix
	}
	r.ids[free] = true
	r.policy = free
	if free != id && twice {
		r.policy = id
		r.err(join(path, "name"), policy.CodeDuplicatePolicy, "the id %q stands twice; give one of the policies another name", id)
	} else if free != id {
		r.warn(path, CodeRenamed, "the id %q is taken by an earlier policy of the document; this one becomes %q", id, free)
	}
	return free
}
