package app

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policystore"
	"github.com/usherhq/usher/decision/token"
	"github.com/usherhq/usher/internal/run"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// controlState is what the config log says, and those who read it.
type controlState struct {
	store    *configlog.Store
	control  *control.Control
	policies *policystore.Store
	tokens   *token.Tokens
	catalog  *catalog.Catalog
	// functions fill attributes; it ends after everybody who decides.
	functions *function.Caller
}

// controlPhase folds the config log, follows it, and furnishes a new
// installation: the account "default" and the first admin token.
func (n *node) controlPhase() run.Phase {
	return run.Phase{Name: "control state", Parts: []run.Part{late("config log", func(ctx context.Context) (worker, error) {
		functions, err := n.functionCaller()
		if err != nil {
			return worker{}, err
		}
		log := n.engines.client.NewConfigLog(n.engines.publisher, event.TopicConfig)
		store := configlog.New(log, configlog.WithLogger(n.log))
		declared := catalog.New(store, catalog.WithFunctionCheck(functions.Check))
		n.state = controlState{
			store: store, control: control.New(store), catalog: declared, functions: functions,
			policies: policystore.New(store, policystore.WithEnvironment(declared), policystore.WithClock(n.opts.Now)),
			tokens:   token.New(store, n.opts.Now, rand.Reader),
		}
		return worker{run: store.Run, ready: store.Ready(), closeIt: functions.Close}, nil
	})}}
}

// bootstrapPhase furnishes a new installation. It does nothing to one that is
// furnished, and of several processes that start at once one does it.
func (n *node) bootstrapPhase() run.Phase {
	return run.Phase{Name: "bootstrap", Parts: []run.Part{setup("furnish the installation", func(ctx context.Context) (func() error, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		if err := n.state.control.Bootstrap(ctx); err != nil {
			return nil, fmt.Errorf("open the first account: %w", err)
		}
		plain, err := n.state.tokens.Bootstrap(ctx)
		n.adminToken = plain
		return nil, err
	})}}
}
