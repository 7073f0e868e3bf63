package app

import (
	"fmt"

	"github.com/usherhq/usher/analytics/clickhouse/embedded"
	"github.com/usherhq/usher/internal/run"
)

// engines are the servers that this process keeps for itself.
type engines struct {
	store *embedded.Server
}

// prepareEngines makes the embedded servers, which settles their addresses, and
// starts none.
func (n *node) prepareEngines() error {
	if n.embedsStore() {
		c := embedded.DefaultConfig()
		c.DataDir = n.path(storeFolder)
		c.NativeAddr, c.HTTPAddr = n.cfg.ClickHouse.Addr, n.cfg.ClickHouse.HTTPAddr
		c.LibraryPath, c.MemoryRatio = n.cfg.ClickHouse.Lib, n.cfg.ClickHouse.MemoryRatio
		server, err := embedded.New(c, embedded.Deps{Log: n.log, Registerer: n.reg})
		if err != nil {
			return fmt.Errorf("prepare the embedded warehouse: %w", err)
		}
		n.engines.store = server
		n.addr.ClickHouse, n.addr.ClickHouseHTTP = server.NativeAddr(), server.HTTPAddr()
	}
	return nil
}

// enginePhase runs the embedded servers.
func (n *node) enginePhase() run.Phase {
	p := run.Phase{Name: "engines", Drain: n.cfg.StopAfter}
	if s := n.engines.store; s != nil {
		p.Parts = append(p.Parts, run.Part{Name: "ClickHouse", Run: s.Run, Ready: s.Ready()})
	}
	return p
}
