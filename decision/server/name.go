package server

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// Resource names are accounts/{account}, or accounts/{account}/{kind}/{id}.

// parentAccount reads the account of a parent.
func parentAccount(field, name string) (string, error) {
	rest, ok := strings.CutPrefix(name, "accounts/")
	if !ok || rest == "" || strings.Contains(rest, "/") {
		return "", invalid(field, "%q must be accounts/{account}", name)
	}
	return rest, nil
}

// childName takes a name such as accounts/a/policies/p apart.
func childName(name, kind string) (account, id string, err error) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 || parts[0] != "accounts" || parts[2] != kind || parts[1] == "" || parts[3] == "" {
		return "", "", invalid("name", "%q must be accounts/{account}/%s/{id}", name, kind)
	}
	return parts[1], parts[3], nil
}

// newName finds the id of a resource to be created: the one given apart, or the
// last part of the resource's name, which must then fit the parent.
func newName(account, kind, id, name string) (string, error) {
	if name == "" || id != "" {
		return id, nil
	}
	if !strings.Contains(name, "/") {
		return name, nil
	}
	owner, own, err := childName(name, kind)
	if err == nil && owner != account {
		err = invalid("name", "%q does not lie under accounts/%s", name, account)
	}
	return own, err
}

// accountOf is the account part of any resource name, for the rules: whether the
// rest makes sense is for the method to say.
func accountOf(field, name string) (string, error) {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) < 2 || parts[0] != "accounts" || parts[1] == "" {
		return "", invalid(field, "%q must begin with accounts/{account}", name)
	}
	return parts[1], nil
}

// etagOf writes a revision as an etag.
func etagOf(revision int64) string { return strconv.FormatInt(revision, 10) }

// parseEtag reads an etag; none is 0.
func parseEtag(etag string) (int64, error) {
	if etag == "" {
		return 0, nil
	}
	revision, err := strconv.ParseInt(strings.Trim(etag, `"`), 10, 64)
	if err != nil || revision <= 0 {
		return 0, invalid("etag", "%q is no etag of this server", etag)
	}
	return revision, nil
}

// The sizes of a page.
const (
	defaultPage = 50
	maxPage     = 1000
)

// page cuts a list: size 0 means 50, more than 1,000 means 1,000. The token says
// where the next page begins.
func page[T any](items []T, size int32, token string) (part []T, next string, err error) {
	if size < 0 {
		return nil, "", invalid("page_size", "must not be negative")
	}
	from := 0
	if token != "" {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil {
			from, err = strconv.Atoi(string(raw))
		}
		if err != nil || from < 0 {
			return nil, "", invalid("page_token", "is not one that this server gave")
		}
	}
	n := int(min(size, maxPage))
	if n == 0 {
		n = defaultPage
	}
	from = min(from, len(items))
	to := min(from+n, len(items))
	if to < len(items) {
		next = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(to)))
	}
	return items[from:to], next, nil
}
