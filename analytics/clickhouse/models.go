package clickhouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/internal/fault"
)

// SaveModel stores a model: first the artifact, then the card, so that a card
// that can be seen always has its artifact. Saving a version again replaces its
// card; its artifact must be the same bytes, else the fault is of kind Exists.
// SHA256 and Size are computed when they are zero and checked when not.
func (db *DB) SaveModel(ctx context.Context, m analytics.Model) error {
	sum := sha256.Sum256(m.Artifact)
	digest := hex.EncodeToString(sum[:])
	if m.SHA256 != "" && m.SHA256 != digest {
		return fmt.Errorf("save model %q: its SHA-256 is %s and not %s", m.Version, digest, m.SHA256)
	}
	if !json.Valid(m.Card) {
		return fmt.Errorf("save model %q: the card is no JSON document", m.Version)
	}
	switch kept, err := db.LoadArtifact(ctx, m.Account, m.Version); {
	case err == nil && string(kept) != string(m.Artifact):
		return fault.New(fault.Exists, "MODEL_EXISTS", "model %q is stored with another artifact", m.Version)
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return fmt.Errorf("save model %q: %w", m.Version, err)
	}
	now := time.Now().UTC()
	if err := db.insertRow(ctx, "INSERT INTO model_artifacts (account, version, sha256, size, artifact, stored_at)",
		m.Account, m.Version, digest, uint64(len(m.Artifact)), string(m.Artifact), now); err != nil {
		return fmt.Errorf("save artifact of model %q: %w", m.Version, err)
	}
	if err := db.insertRow(ctx, "INSERT INTO model_cards (account, version, objective, created_at, rows, sha256, size, gate, gate_reason, card, stored_at)",
		m.Account, m.Version, m.Objective, m.CreatedAt.UTC(), uint64(max(m.Rows, 0)), digest, uint64(len(m.Artifact)),
		m.Gate, m.GateReason, string(m.Card), now); err != nil {
		return fmt.Errorf("save card of model %q: %w", m.Version, err)
	}
	return nil
}

// insertRow inserts one row over the native protocol, which carries any bytes.
func (db *DB) insertRow(ctx context.Context, statement string, values ...any) (err error) {
	ctx, cancel := db.deadline(ctx, db.cfg.InsertTimeout, nil)
	defer cancel()
	batch, err := db.conn.PrepareBatch(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, batch.Close()) }()
	if err := batch.Append(values...); err != nil {
		return err
	}
	return batch.Send()
}

// LoadArtifact returns a model's bytes after checking them against their digest,
// or a fault of kind NotFound.
func (db *DB) LoadArtifact(ctx context.Context, account, version string) ([]byte, error) {
	var artifact, digest string
	found := false
	args := []any{ch.Named("account", account), ch.Named("version", version)}
	err := db.read(ctx, "model_artifact", nil, args, func(rows driver.Rows) error {
		found = true
		return rows.Scan(&artifact, &digest)
	})
	if err != nil {
		return nil, fmt.Errorf("load model %q: %w", version, err)
	}
	if !found {
		return nil, fault.New(fault.NotFound, ReasonModelNotFound, "model %q is not stored", version)
	}
	if sum := sha256.Sum256([]byte(artifact)); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("load model %q: the stored bytes do not match their SHA-256", version)
	}
	return []byte(artifact), nil
}

// Cards lists an account's models, newest first, at most n of them (0: all),
// without their artifacts.
func (db *DB) Cards(ctx context.Context, account string, n int) ([]analytics.Model, error) {
	var found []analytics.Model
	args := []any{ch.Named("account", account), ch.Named("limit", limit(n))}
	err := db.read(ctx, "model_cards", nil, args, func(rows driver.Rows) error {
		m := analytics.Model{Account: account}
		var card string
		var count, size uint64
		if err := rows.Scan(&m.Version, &m.Objective, &m.CreatedAt, &count, &m.SHA256, &size, &m.Gate, &m.GateReason, &card); err != nil {
			return err
		}
		m.Card, m.Rows, m.Size = json.RawMessage(card), int64(count), int64(size) //nolint:gosec // written from int64
		found = append(found, m)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	return found, nil
}
