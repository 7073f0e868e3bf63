// Command crm is a small service with customers, like the CRM that most companies
// have somewhere in their network. README.md shows how Usher's attribute
// custom.crm_tier is filled from it while a decision is made.
package main

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

//go:embed customers.json
var customersJSON []byte

// customer is what the CRM knows of one.
type customer struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Tier     string `json:"tier"`
	OpenBill bool   `json:"open_bill"`
}

// crm answers for customers, to those who have the key.
type crm struct {
	customers map[string]customer
	key       string
	delay     time.Duration // of every answer, to see what a slow service does
}

func newCRM(data []byte, key string, delay time.Duration) (*crm, error) {
	var list []customer
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read the customers: %w", err)
	}
	c := &crm{customers: map[string]customer{}, key: key, delay: delay}
	for _, one := range list {
		c.customers[one.ID] = one
	}
	return c, nil
}

// handler offers GET /customers/{id}.
func (c *crm) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Api-Key")), []byte(c.key)) != 1 {
			answer(w, http.StatusUnauthorized, map[string]string{"error": "the key is missing or wrong"})
			return
		}
		select {
		case <-time.After(c.delay):
		case <-r.Context().Done(): // Usher did not wait
			return
		}
		one, ok := c.customers[r.PathValue("id")]
		if !ok {
			answer(w, http.StatusNotFound, map[string]string{"error": "no such customer"})
			return
		}
		answer(w, http.StatusOK, one)
	})
	return mux
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the caller may have gone
}

// run serves until ctx ends. The line that it writes says where.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("crm", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:7070", "address, host:port; port 0 picks a free one")
	key := flags.String("key", "crm-demo-key", "key that callers send as X-Api-Key")
	delay := flags.Duration("delay", 0, "time that every answer takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := newCRM(customersJSON, *key, *delay)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if _, err := fmt.Fprintln(out, "http://"+l.Addr().String()); err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
