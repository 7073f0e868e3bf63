package contextstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/usherhq/usher/internal/fault"
)

// Scope is whom a session belongs to.
type Scope int

// The scopes of sessions.
const (
	ScopePlain  Scope = iota // a conversation, or whatever the caller groups by
	ScopePerson              // a consumer, a customer or a visitor
)

// scopeOf takes the prefix off a session.
func scopeOf(session string) (Scope, string) {
	for _, prefix := range []string{consumerPrefix, customerPrefix, visitorPrefix} {
		if id, ok := strings.CutPrefix(session, prefix); ok {
			return ScopePerson, id
		}
	}
	return ScopePlain, strings.TrimPrefix(session, conversationPrefix)
}

// Erase deletes every document of an account that was created up to before and whose
// session belongs to somebody who is to be forgotten, and returns how many it deleted:
// what somebody who came back left since then is theirs again. theirs is asked about
// the scope and the id without its prefix; it looks at every document, so an account
// of millions takes a while. One of these that is written meanwhile is deleted as well.
func (s *Store) Erase(ctx context.Context, account string, before time.Time, theirs func(scope Scope, id string) bool) (erased int64, err error) {
	namespaces, err := s.Namespaces(ctx, account)
	if err != nil {
		return 0, err
	}
	for _, n := range namespaces {
		var keys []Key
		err := s.scan(ctx, account, n.ID, "", func(session string, r *record) bool {
			if session != Global && r.created <= before.UnixMilli() && theirs(scopeOf(session)) {
				keys = append(keys, Key{n.ID, session})
			}
			return true
		})
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return erased, fmt.Errorf("erase context: %w", err)
		}
		for _, key := range keys {
			switch err := s.Delete(ctx, account, key, ""); {
			case err == nil:
				erased++
			case fault.KindOf(err) != fault.NotFound: // expired meanwhile, or deleted
				return erased, fmt.Errorf("erase context: %w", err)
			}
		}
	}
	return erased, nil
}
