package clickhouse

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// seal hashes the ids of people by the installation's key: HMAC-SHA-256, of which
// 16 bytes are kept, in hex. The pads are the key's for SQL, which has no HMAC.
type seal struct {
	key          []byte
	inner, outer [sha256.BlockSize]byte
}

func newSeal(key []byte) *seal {
	s := &seal{key: key}
	copy(s.inner[:], key)
	copy(s.outer[:], key)
	for i := range s.inner {
		s.inner[i] ^= 0x36
		s.outer[i] ^= 0x5c
	}
	return s
}

func (s *seal) hash(id string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id)) // never fails
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// args are the pads as a query wants them.
func (s *seal) args() []any {
	return []any{ch.Named("inner", hex.EncodeToString(s.inner[:])), ch.Named("outer", hex.EncodeToString(s.outer[:]))}
}

// HashID returns the keyed hash of a person's, conversation's, decision's or
// session's id, the same in every process of the installation. The first call
// draws the key when there is none yet, which needs a login that may write.
func (db *DB) HashID(ctx context.Context, id string) (string, error) {
	s, err := db.seal(ctx)
	if err != nil {
		return "", err
	}
	return s.hash(id), nil
}

// seal returns the installation's, which never changes.
func (db *DB) seal(ctx context.Context) (*seal, error) {
	if s := db.sealed.Load(); s != nil {
		return s, nil
	}
	key, err := db.erasureKey(ctx)
	if err == nil && key == nil {
		if err = db.drawKey(ctx); err == nil {
			key, err = db.erasureKey(ctx)
		}
	}
	if err == nil && len(key) != sha256.Size {
		err = errors.New("it is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("read the installation's key of erasures: %w", err)
	}
	s := newSeal(key)
	db.sealed.Store(s)
	return s, nil
}

func (db *DB) erasureKey(ctx context.Context) ([]byte, error) {
	ctx, cancel := db.deadline(ctx, db.cfg.QueryTimeout, nil)
	defer cancel()
	var keys uint64
	var text string
	row := db.conn.QueryRow(ctx, "SELECT count(), argMin(key, (created_at, key)) FROM installation_keys WHERE name = 'erasure'")
	if err := row.Scan(&keys, &text); err != nil || keys == 0 {
		return nil, err
	}
	return hex.DecodeString(text)
}

// drawKey adds a key. Several processes may at once: the oldest counts for all.
func (db *DB) drawKey(ctx context.Context) error {
	key := make([]byte, sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	return db.exec(ctx, "INSERT INTO installation_keys (name, key, created_at) SELECT 'erasure', {key:String}, now64(6)",
		ch.Named("key", hex.EncodeToString(key)))
}
