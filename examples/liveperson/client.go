package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// client calls the first version of LivePerson's paths the way its own toolbelt
// does: a deadline for each call, up to three attempts when the network fails, and
// none after an answer.
type client struct {
	host, account, key string
	deadline, pause    time.Duration
}

// attempts bounds how often a call is made.
const attempts = 3

// nextActions is the answer of the Next Actions API.
type nextActions struct {
	ID      string `json:"nextActionId"`
	NoMatch string `json:"noMatchReason"`
	Rule    *struct {
		Name    string `json:"name"`
		Actions []struct {
			Type    string         `json:"type"`
			Payload map[string]any `json:"payload"`
		} `json:"actions"`
	} `json:"rule"`
}

// set merges properties into a session and returns all that it holds.
func (c *client) set(ctx context.Context, namespace, session string, properties map[string]any) (map[string]any, error) {
	path := "/" + url.PathEscape(namespace) + "/" + url.PathEscape(session) + "/properties"
	body, err := json.Marshal(properties)
	if err != nil {
		return nil, err
	}
	if err := c.call(ctx, http.MethodPatch, path, body, nil); err != nil {
		return nil, err
	}
	var out map[string]any
	return out, c.call(ctx, http.MethodGet, path, nil, &out)
}

// nextActions asks what to do.
func (c *client) nextActions(ctx context.Context, query url.Values) (*nextActions, error) {
	out := &nextActions{}
	return out, c.call(ctx, http.MethodGet, "/next-actions?"+query.Encode(), nil, out)
}

// refusal is an answer that says no.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d: %s", r.status, r.text) }

// call makes one call, again when the network fails, and reads its answer.
func (c *client) call(ctx context.Context, method, path string, body []byte, into any) error {
	for attempt := 1; ; attempt++ {
		err := c.attempt(ctx, method, path, body, into)
		var said *refusal
		if err == nil || errors.As(err, &said) || attempt == attempts {
			return err
		}
		timer := time.NewTimer(time.Duration(attempt) * c.pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

func (c *client) attempt(ctx context.Context, method, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.host+"/v1/account/"+url.PathEscape(c.account)+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("maven-api-key", c.key)
	req.Header.Set("X-REQUEST-ID", rand.Text())
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return &refusal{resp.StatusCode, string(text)}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
