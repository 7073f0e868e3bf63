// Package token mints and verifies the bearer tokens of the API.
//
// A token reads usher_<id>_<secret><checksum>: a prefix that secret scanners
// know, a random id to look it up by, 160 random bits, and a CRC-32 that tells a
// typing mistake from an unknown token. The config log keeps the SHA-256 of the
// whole; the plain text is shown once. The secret has too much entropy to be
// guessed, so a slow hash would cost every request and win nothing.
package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/rpc"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// The layout of a token.
const (
	prefix    = "usher_"
	idSize    = 12
	crcAt     = len(prefix) + idSize + 1 + 32
	tokenSize = crcAt + 8
)

// bootstrapID is the id of the token that [Tokens.Bootstrap] makes: a fixed one,
// so that of several processes that start at once only one makes it.
const bootstrapID = "bootstrapped"

// Store is the part of configlog.Store that tokens need.
type Store interface {
	State() *configlog.State
	Write(ctx context.Context, c event.ConfigChange) (configlog.Resource, error)
}

// Spec says what a token is to be good for.
type Spec struct {
	// Name tells people what the token is for.
	Name string
	// Account binds it to one account; empty: the whole installation.
	Account string
	// Scopes is what it may do; at least one.
	Scopes rpc.Scope
	// Expires is when it stops to count; zero: never.
	Expires time.Time
}

// Info is what is known of a token, its secret excepted.
type Info struct {
	Spec
	ID      string
	Author  string // who made it, or gave it its last secret
	Created time.Time
}

// Tokens verifies tokens against the newest snapshot of the config log and
// changes them there. It is safe for concurrent use.
type Tokens struct {
	store  Store
	view   *configlog.View[index]
	now    func() time.Time
	random io.Reader
}

var _ rpc.Verifier = (*Tokens)(nil)

// New makes the tokens of a store. random must be cryptographically strong.
func New(store Store, now func() time.Time, random io.Reader) *Tokens {
	return &Tokens{store: store, now: now, random: random, view: configlog.NewView(store, derive)}
}

// document is how a token lies in the config log.
type document struct {
	Hash    string     `json:"hash"` // SHA-256 of the token, hex
	Name    string     `json:"name,omitempty"`
	Account string     `json:"account,omitempty"`
	Scopes  []string   `json:"scopes"`
	Expires *time.Time `json:"expires,omitempty"`
	Created *time.Time `json:"created,omitempty"` // of a token that got a new secret
}

// index is every token by id, for one state of the config log.
type index struct {
	revision int64
	entries  map[string]*entry
}

type entry struct {
	hash      [sha256.Size]byte
	expires   int64 // unix seconds, 0 for never
	principal *rpc.Principal
	info      Info
}

// derive reads all tokens, or keeps what is there when none changed. A document
// that cannot be read is no token.
func derive(old *index, st *configlog.State) *index {
	revision := st.KindRevision("", configlog.KindToken)
	if old != nil && old.revision == revision {
		return old
	}
	x := &index{revision: revision, entries: map[string]*entry{}}
	for _, r := range st.List("", configlog.KindToken) {
		if e, ok := readEntry(r); ok {
			x.entries[r.Name] = e
		}
	}
	return x
}

func readEntry(r configlog.Resource) (*entry, bool) {
	var d document
	if err := json.Unmarshal(r.Value, &d); err != nil {
		return nil, false
	}
	e := &entry{info: Info{ID: r.Name, Author: r.Author, Created: r.Time, Spec: Spec{Name: d.Name, Account: d.Account}}}
	if n, err := hex.Decode(e.hash[:], []byte(d.Hash)); err != nil || n != sha256.Size {
		return nil, false
	}
	for _, name := range d.Scopes {
		scope, ok := rpc.ParseScope(name)
		if !ok {
			return nil, false
		}
		e.info.Scopes |= scope
	}
	if d.Expires != nil {
		e.info.Expires, e.expires = *d.Expires, d.Expires.Unix()
	}
	if d.Created != nil {
		e.info.Created = *d.Created
	}
	e.principal = &rpc.Principal{ID: r.Name, Account: d.Account, Scopes: e.info.Scopes, Expires: e.info.Expires}
	return e, true
}

// Verify returns the principal of a token. The error says no more than that the
// token is malformed, unknown or expired. It neither waits nor allocates unless
// it fails.
func (t *Tokens) Verify(token string) (*rpc.Principal, error) {
	if len(token) != tokenSize || token[:len(prefix)] != prefix {
		return nil, refusal("TOKEN_MALFORMED", "this is no token of Usher")
	}
	e, ok := t.view.Get().entries[token[len(prefix):len(prefix)+idSize]]
	var text [tokenSize]byte
	copy(text[:], token)
	sum := sha256.Sum256(text[:])
	if !ok || subtle.ConstantTimeCompare(sum[:], e.hash[:]) != 1 {
		if token[crcAt:] != checksum(token[:crcAt]) {
			return nil, refusal("TOKEN_MALFORMED", "the token is mistyped or cut off: its checksum does not fit")
		}
		return nil, refusal("TOKEN_UNKNOWN", "the token is not known")
	}
	if e.expires != 0 && t.now().Unix() >= e.expires {
		return nil, refusal("TOKEN_EXPIRED", "the token has expired")
	}
	return e.principal, nil
}

func refusal(reason, message string) error { return fault.New(fault.NoIdentity, reason, "%s", message) }

// Create makes a token and returns its plain text, which is kept nowhere. Faults
// of the spec are one Invalid error.
func (t *Tokens) Create(ctx context.Context, spec Spec, author string) (plain string, info Info, err error) {
	id, err := t.draw(idSize)
	if err != nil {
		return "", Info{}, err
	}
	return t.create(ctx, id, spec, author)
}

func (t *Tokens) create(ctx context.Context, id string, spec Spec, author string) (string, Info, error) {
	var c fault.Check
	if spec.Scopes == 0 {
		c.Add("scopes", "must name at least one of decide, ingest, read, admin")
	}
	if !spec.Expires.IsZero() && !spec.Expires.After(t.now()) {
		c.Add("expires", "must lie in the future")
	}
	if _, ok := t.store.State().Get(spec.Account, configlog.KindAccount, spec.Account); !ok && spec.Account != "" {
		c.Add("account", "there is no account %q", spec.Account)
	}
	if err := c.Err("the token is not valid"); err != nil {
		return "", Info{}, err
	}
	plain, r, err := t.write(ctx, event.ConfigChange{Name: id, Author: author}, Info{Spec: spec})
	if err != nil {
		return "", Info{}, fmt.Errorf("create token %q: %w", id, err)
	}
	return plain, Info{Spec: spec, ID: id, Author: author, Created: r.Time}, nil
}

// write draws a secret and stores the token that the change names.
func (t *Tokens) write(ctx context.Context, c event.ConfigChange, info Info) (plain string, r configlog.Resource, err error) {
	secret, err := t.draw(crcAt - len(prefix) - idSize - 1)
	if err != nil {
		return "", r, err
	}
	plain = prefix + c.Name + "_" + secret
	plain += checksum(plain)
	sum := sha256.Sum256([]byte(plain))
	d := document{
		Hash: hex.EncodeToString(sum[:]), Name: info.Name, Account: info.Account,
		Scopes: strings.Split(info.Scopes.String(), ","),
	}
	if !info.Expires.IsZero() {
		d.Expires = &info.Expires
	}
	if !info.Created.IsZero() {
		d.Created = &info.Created
	}
	value, err := json.Marshal(d)
	if err != nil {
		return "", r, fmt.Errorf("encode token: %w", err)
	}
	c.Kind, c.Value = configlog.KindToken, value
	if r, err = t.store.Write(ctx, c); err != nil {
		return "", r, err
	}
	t.view.Refresh()
	return plain, r, nil
}

// Regenerate gives a token a new secret and returns its plain text, which is kept
// nowhere. Rights, account and expiry stay. The former secret is refused from the
// moment this returns, and by every other replica as soon as it has read the
// config log, well within a second of it. Errors: NotFound, Precondition for a
// token that has expired, Conflict when it was changed meanwhile.
func (t *Tokens) Regenerate(ctx context.Context, id, author, reason string) (plain string, info Info, err error) {
	e, ok := t.view.Refresh().entries[id]
	r, stored := t.store.State().Get("", configlog.KindToken, id)
	if !ok || !stored {
		return "", Info{}, notFound(id)
	}
	if e.expires != 0 && t.now().Unix() >= e.expires {
		return "", Info{}, fault.New(fault.Precondition, "TOKEN_EXPIRED", "token %q has expired; create another", id)
	}
	info = e.info
	info.Author = author
	change := event.ConfigChange{Name: id, Base: r.Revision, Author: author, Reason: reason}
	if plain, _, err = t.write(ctx, change, info); err != nil {
		return "", Info{}, fmt.Errorf("regenerate token %q: %w", id, err)
	}
	return plain, info, nil
}

func notFound(id string) error {
	return fault.New(fault.NotFound, "TOKEN_NOT_FOUND", "there is no token %q", id)
}

// Get returns what is known of one token; ok is false when there is none.
func (t *Tokens) Get(id string) (info Info, ok bool) {
	e, ok := t.view.Refresh().entries[id]
	if !ok {
		return Info{}, false
	}
	return e.info, true
}

// Bootstrap makes the first admin token of an installation and returns its plain
// text; it returns "" when there is one already or ever was, so the text is
// shown once. Call it when the store is ready.
func (t *Tokens) Bootstrap(ctx context.Context) (string, error) {
	if t.store.State().KindRevision("", configlog.KindToken) != 0 {
		return "", nil
	}
	spec := Spec{Name: "first start", Scopes: rpc.ScopeAdmin}
	plain, _, err := t.create(ctx, bootstrapID, spec, "usher")
	if fault.KindOf(err) == fault.Exists {
		return "", nil
	}
	return plain, err
}

// Revoke ends a token. Other replicas learn of it through the config log.
func (t *Tokens) Revoke(ctx context.Context, id, author, reason string) error {
	r, ok := t.store.State().Get("", configlog.KindToken, id)
	if !ok {
		return notFound(id)
	}
	change := event.ConfigChange{Kind: configlog.KindToken, Name: id, Base: r.Revision, Deleted: true, Author: author, Reason: reason}
	if _, err := t.store.Write(ctx, change); err != nil {
		return fmt.Errorf("revoke token %q: %w", id, err)
	}
	t.view.Refresh()
	return nil
}

// List returns the tokens of an account, those of the installation for "", in
// order of their ids.
func (t *Tokens) List(account string) []Info {
	return slices.DeleteFunc(t.All(), func(i Info) bool { return i.Account != account })
}

// All returns every token, of the installation and of all accounts, in order of
// their ids.
func (t *Tokens) All() []Info {
	entries := t.view.Refresh().entries
	var out []Info
	for _, r := range t.store.State().List("", configlog.KindToken) {
		if e, ok := entries[r.Name]; ok {
			out = append(out, e.info)
		}
	}
	return out
}

// draw makes n random characters of five bits each.
func (t *Tokens) draw(n int) (string, error) {
	raw := make([]byte, (n*5+7)/8)
	if _, err := io.ReadFull(t.random, raw); err != nil {
		return "", fmt.Errorf("draw a token: %w", err)
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	return strings.ToLower(text[:n]), nil
}

func checksum(text string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text))) }
