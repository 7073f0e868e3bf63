// Package redis keeps context in Redis or Valkey, one server or a cluster, for an
// installation of many processes.
//
// All keys of an account carry the account as their hash tag, so they lie in one
// slot and a script or a transaction can span them. Each call is one round trip,
// but for the sweep and for what follows a dropped namespace.
//
//	usher:{account}:d:namespace   hash: session -> record
//	usher:{account}:i:namespace   sorted set of sessions, all of score 0
//	usher:{account}:expiry        sorted set: namespace 0 session, by expiry
//	usher:{account}:t:namespace   sessions of a dropped namespace
//	usher:accounts                set of the accounts
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/usherhq/usher/decision/contextstore"
	"github.com/usherhq/usher/internal/fault"
)

// Config says where the server is.
type Config struct {
	Addrs    []string // host:port; of a cluster any of its nodes
	Username string
	Password string
	TLS      bool
	Cluster  bool // several addresses mean a cluster too
}

// Validate reports every value that breaks a rule.
func (c *Config) Validate() error {
	var check fault.Check
	if len(c.Addrs) == 0 {
		check.Add("addrs", "must name at least one server")
	}
	return check.Err("the configuration of Redis is not valid")
}

// LogValue keeps the password out of logs.
func (c *Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("addrs", strings.Join(c.Addrs, ",")), slog.Bool("cluster", c.Cluster))
}

// accountsKey is the one key that belongs to no account.
const accountsKey = "usher:accounts"

// Engine is a [contextstore.Engine] over Redis. It must be closed.
type Engine struct {
	client redis.UniversalClient
	known  sync.Map // account -> struct{}, those that this process has announced

	commit, scan, drop, forget, sweep *redis.Script
}

var _ contextstore.Engine = (*Engine)(nil)

// New makes an engine; it connects when it is first used.
func New(cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	options := &redis.UniversalOptions{
		Addrs: cfg.Addrs, Username: cfg.Username, Password: cfg.Password, IsClusterMode: cfg.Cluster,
		ContextTimeoutEnabled: true, // a decision's budget ends a call on the wire, too
		// Both are handshakes that older servers answer with errors.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.TLS {
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Engine{
		client: redis.NewUniversalClient(options),
		commit: redis.NewScript(commitScript), scan: redis.NewScript(scanScript), drop: redis.NewScript(dropScript),
		forget: redis.NewScript(forgetScript), sweep: redis.NewScript(sweepScript),
	}, nil
}

// Close ends the connections.
func (e *Engine) Close() error { return e.client.Close() }

// Ping tells whether the server answers and lets us in.
func (e *Engine) Ping(ctx context.Context) error {
	return failure(ctx, "reach Redis", e.client.Ping(ctx).Err())
}

// failure gives an error of the client its kind: the caller's own deadline, or a
// server that is away.
func failure(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if own := ctx.Err(); own != nil {
		return fmt.Errorf("%s: %w", what, own)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	kind := fault.Unavailable
	if text := err.Error(); strings.HasPrefix(text, "WRONGPASS") || strings.HasPrefix(text, "NOAUTH") || strings.HasPrefix(text, "NOPERM") {
		kind = fault.Precondition // waiting does not help
	}
	f := fault.New(kind, "CONTEXT_STORE_AWAY", "the context store cannot be reached")
	f.Cause = fmt.Errorf("%s: %w", what, err)
	return f
}

// prefix begins all keys of an account. The account is escaped, so that the tag
// ends where it should.
func prefix(account string) string { return "usher:{" + url.QueryEscape(account) + "}:" }

// Read implements contextstore.Engine.
func (e *Engine) Read(ctx context.Context, account string, keys []contextstore.Key) ([]string, error) {
	base := prefix(account)
	pipe := e.client.TxPipeline() // one moment, one round trip
	var spans []span
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to].Namespace == keys[from].Namespace {
			to++
		}
		fields := make([]string, 0, to-from)
		for _, k := range keys[from:to] {
			fields = append(fields, k.Session)
		}
		spans = append(spans, span{from, pipe.HMGet(ctx, base+"d:"+keys[from].Namespace, fields...)})
		from = to
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, failure(ctx, "read from Redis", err)
	}
	records := make([]string, len(keys))
	for _, s := range spans {
		for i, v := range s.cmd.Val() {
			records[s.from+i], _ = v.(string)
		}
	}
	return records, nil
}

// span is the answer to keys that stand side by side in one namespace.
type span struct {
	from int
	cmd  *redis.SliceCmd
}

// Commit implements contextstore.Engine.
func (e *Engine) Commit(ctx context.Context, account string, mutations []contextstore.Mutation) error {
	if err := e.announce(ctx, account); err != nil {
		return err
	}
	base := prefix(account)
	keys := []string{base + "expiry"}
	places := map[string]int{} // namespace -> place of its hash among the keys, from 1
	args := make([]any, 0, 7*len(mutations))
	for i := range mutations {
		m := &mutations[i]
		place, ok := places[m.Namespace]
		if !ok {
			place = len(keys) + 1
			places[m.Namespace] = place
			keys = append(keys, base+"d:"+m.Namespace, base+"i:"+m.Namespace)
		}
		args = append(args, place, m.Session, expected(m.Expect), int(m.Op), m.Record, score(m), member(m.Key))
	}
	done, err := e.commit.Run(ctx, e.client, keys, args...).Int()
	if err != nil {
		return failure(ctx, "write to Redis", err)
	}
	if done == 0 {
		return contextstore.ErrConflict
	}
	return nil
}

// announce puts the account on the list that the sweep goes by.
func (e *Engine) announce(ctx context.Context, account string) error {
	if _, ok := e.known.Load(account); ok {
		return nil
	}
	if err := e.client.SAdd(ctx, accountsKey, account).Err(); err != nil {
		return failure(ctx, "write to Redis", err)
	}
	e.known.Store(account, struct{}{})
	return nil
}

// expected is the first bytes of a record of the version, "" for no record.
func expected(version uint64) string {
	if version == 0 {
		return ""
	}
	return string(contextstore.NewHeader(version, 0)[:8])
}

// score is when a record expires, "" for never.
func score(m *contextstore.Mutation) string {
	if m.Op != contextstore.Put {
		return ""
	}
	expires := contextstore.RecordExpiry(string(m.Record[:contextstore.HeaderSize]))
	if expires == math.MaxInt64 {
		return ""
	}
	return strconv.FormatInt(expires, 10)
}

// member is a key in the set of expiries.
func member(k contextstore.Key) string { return k.Namespace + "\x00" + k.Session }

// Scan implements contextstore.Engine.
func (e *Engine) Scan(ctx context.Context, account, namespace, after string, limit int) ([]contextstore.Entry, error) {
	base := prefix(account)
	from := "-"
	if after != "" {
		from = "(" + after
	}
	list, err := e.scan.RunRO(ctx, e.client, []string{base + "d:" + namespace, base + "i:" + namespace},
		from, limit, contextstore.ScanBytes).StringSlice()
	if err != nil {
		return nil, failure(ctx, "scan Redis", err)
	}
	entries := make([]contextstore.Entry, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		entries = append(entries, contextstore.Entry{Session: list[i], Record: list[i+1]})
	}
	return entries, nil
}

// chunk is how much a script does at once; no script holds the server for long.
const chunk = 500

// Drop implements contextstore.Engine.
func (e *Engine) Drop(ctx context.Context, account, namespace string) error {
	base := prefix(account)
	hash, index, trash, expiry := base+"d:"+namespace, base+"i:"+namespace, base+"t:"+namespace, base+"expiry"
	err := e.drop.Run(ctx, e.client, []string{hash, index, trash, base + "d:", base + "i:"}, namespace).Err()
	for err == nil {
		// The documents are gone. What points to them goes too, or, if this is
		// cut short, when it would have expired.
		var left int
		left, err = e.forget.Run(ctx, e.client, []string{trash, hash, expiry}, chunk, namespace).Int()
		if left == 0 {
			break
		}
	}
	return failure(ctx, "drop a namespace in Redis", err)
}

// Sweep implements contextstore.Engine.
func (e *Engine) Sweep(ctx context.Context, now int64, limit int) (removed int, more bool, err error) {
	accounts, err := e.client.SMembers(ctx, accountsKey).Result()
	if err != nil {
		return 0, false, failure(ctx, "sweep Redis", err)
	}
	until := strconv.FormatInt(now, 10)
	for _, account := range accounts {
		base := prefix(account)
		due, err := e.client.ZRangeByScore(ctx, base+"expiry", &redis.ZRangeBy{Min: "-inf", Max: until, Count: int64(limit)}).Result()
		if err != nil {
			return removed, false, failure(ctx, "sweep Redis", err)
		}
		more = more || len(due) == limit
		for namespace, sessions := range byNamespace(due) {
			for from := 0; from < len(sessions); from += chunk {
				part := sessions[from:min(from+chunk, len(sessions))]
				keys := []string{base + "expiry", base + "d:" + namespace, base + "i:" + namespace}
				n, err := e.sweep.Run(ctx, e.client, keys, append([]any{until, namespace}, part...)...).Int()
				if err != nil {
					return removed, false, failure(ctx, "sweep Redis", err)
				}
				removed += n
			}
		}
	}
	return removed, more, nil
}

// byNamespace takes members of the set of expiries apart.
func byNamespace(members []string) map[string][]any {
	out := map[string][]any{}
	for _, m := range members {
		namespace, session, _ := strings.Cut(m, "\x00")
		out[namespace] = append(out[namespace], session)
	}
	return out
}
