package policystore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

// MaxDrafts bounds the drafts of one account.
const MaxDrafts = 200

// Draft is a list of policies in the making.
type Draft struct {
	ID, Description string
	// Base is the revision of the live list that it was taken from.
	Base int64
	// Documents are the policies in order, the default policy last, without ranks.
	// They may hold faults.
	Documents []json.RawMessage
	// Stale says that the live list was changed since.
	Stale bool
	// Revision, Author and Updated are those of its last change.
	Revision int64
	Author   string
	Updated  time.Time
}

// draftDocument is how a draft lies in the config log.
type draftDocument struct {
	Description string            `json:"description,omitempty"`
	Base        int64             `json:"base_revision"`
	Policies    []json.RawMessage `json:"policies"`
}

// Policies returns the policies in order; one that cannot be read has a Fault.
func (d *Draft) Policies() []*policy.Policy { return policiesIn(d.entries()) }

func (d *Draft) entries() []entry {
	out := make([]entry, len(d.Documents))
	for i, document := range d.Documents {
		out[i] = entryOf(document)
	}
	return out
}

// Drafts lists the drafts in order of their ids.
func (s *Store) Drafts(account string) ([]*Draft, error) {
	st := s.log.State()
	var out []*Draft
	for _, r := range st.List(account, configlog.KindDraft) {
		d, err := readDraft(st, r)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// Draft returns one draft, or a NotFound fault.
func (s *Store) Draft(account, id string) (*Draft, error) {
	st := s.log.State()
	r, ok := st.Get(account, configlog.KindDraft, id)
	if !ok {
		return nil, fault.New(fault.NotFound, "NOT_FOUND", "draft %q does not exist", id)
	}
	return readDraft(st, r)
}

func readDraft(st *configlog.State, r configlog.Resource) (*Draft, error) {
	var document draftDocument
	if err := json.Unmarshal(r.Value, &document); err != nil {
		return nil, fmt.Errorf("read draft %q of account %q: %w", r.Name, r.Account, err)
	}
	return &Draft{
		ID: r.Name, Description: document.Description, Base: document.Base, Documents: document.Policies,
		Stale:    st.KindRevision(r.Account, configlog.KindPolicy) != document.Base,
		Revision: r.Revision, Author: r.Author, Updated: r.Time,
	}, nil
}

// CreateDraft stores a draft that begins at the live list as it is now. Without
// documents it is a copy of that list; nil counts as none, an empty list does not.
// Errors: Invalid, Exists, Precondition when there are too many, and those of the
// log.
func (s *Store) CreateDraft(ctx context.Context, account string, d *Draft, c Change) (*Draft, error) {
	live, revision := s.live(account)
	own := *d
	own.Base = revision
	if own.Documents == nil {
		own.Documents = make([]json.RawMessage, len(live))
		for i := range live {
			document, err := live[i].document()
			if err != nil {
				return nil, err
			}
			own.Documents[i] = document
		}
	}
	if n := len(s.log.State().List(account, configlog.KindDraft)); n >= MaxDrafts {
		return nil, fault.New(fault.Precondition, "TOO_MANY_DRAFTS", "the account has %d drafts; the limit is %d", n, MaxDrafts)
	}
	return s.writeDraft(ctx, account, &own, 0, c)
}

// ImportDraft stores what an import into the live list would make as a new draft,
// faults included. Errors as [Store.CreateDraft].
func (s *Store) ImportDraft(ctx context.Context, account string, d *Draft, in Import, c Change) (*Draft, error) {
	live, _ := s.live(account)
	target := in.into(live)
	own := *d
	own.Documents = make([]json.RawMessage, len(target))
	for i := range target {
		var err error
		if own.Documents[i], err = target[i].document(); err != nil {
			return nil, err
		}
	}
	return s.CreateDraft(ctx, account, &own, c)
}

// UpdateDraft reads a draft, lets edit change the description and the documents of
// a copy, and writes that. Errors: NotFound, Conflict, Invalid, what edit returns,
// and those of the log.
func (s *Store) UpdateDraft(ctx context.Context, account, id string, c Change, edit func(*Draft) error) (*Draft, error) {
	current, err := s.Draft(account, id)
	if err != nil {
		return nil, err
	}
	own := *current
	if err := edit(&own); err != nil {
		return nil, err
	}
	own.ID, own.Base = current.ID, current.Base
	base := current.Revision
	if c.Etag != 0 {
		base = c.Etag
	}
	return s.writeDraft(ctx, account, &own, base, c)
}

// DeleteDraft throws a draft away. Errors: NotFound, Conflict, and those of the
// log.
func (s *Store) DeleteDraft(ctx context.Context, account, id string, c Change) error {
	current, err := s.Draft(account, id)
	if err != nil {
		return err
	}
	base := current.Revision
	if c.Etag != 0 {
		base = c.Etag
	}
	_, err = s.log.Write(ctx, event.ConfigChange{
		Account: account, Kind: configlog.KindDraft, Name: id, Base: base, Deleted: true, Author: c.Author, Reason: c.Reason,
	})
	return err
}

func (s *Store) writeDraft(ctx context.Context, account string, d *Draft, base int64, c Change) (*Draft, error) {
	var check fault.Check
	if err := checkDraftID(d.ID); err != nil {
		check.Add("name", "%s", err)
	}
	if len(d.Description) > maxDescription {
		check.Add("description", "is longer than %d bytes", maxDescription)
	}
	if len(d.Documents) > MaxPolicies {
		check.Add("policies", "has %d elements; the limit is %d", len(d.Documents), MaxPolicies)
	}
	document := draftDocument{Description: d.Description, Base: d.Base, Policies: canonicalDocuments(d.Documents, &check)}
	if err := check.Err("the draft is not valid"); err != nil {
		return nil, err
	}
	value, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("write draft %q: %w", d.ID, err)
	}
	r, err := s.log.Write(ctx, event.ConfigChange{
		Account: account, Kind: configlog.KindDraft, Name: d.ID, Base: base, Value: value, Author: c.Author, Reason: c.Reason,
	})
	if err != nil {
		return nil, err
	}
	return readDraft(s.log.State(), r)
}

// canonicalDocuments takes ranks away and puts the default policy last.
func canonicalDocuments(documents []json.RawMessage, check *fault.Check) []json.RawMessage {
	out := []json.RawMessage{}
	var last json.RawMessage
	for i, one := range documents {
		e := entryOf(one)
		value, err := e.document()
		switch {
		case err != nil:
			check.Add(fmt.Sprintf("policies[%d]", i), "is no object")
		case e.isDefault() && last == nil:
			last = value
		default:
			out = append(out, value)
		}
	}
	if last != nil {
		out = append(out, last)
	}
	return out
}

const maxDescription = 4000

// checkDraftID keeps drafts apart from the other names of lists.
func checkDraftID(id string) error {
	_, notANumber := strconv.ParseInt(id, 10, 64)
	if !policy.ValidName(id) || id == Live || notANumber == nil {
		return fmt.Errorf("%q must be 1 to 63 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit, and neither a number nor %q", id, Live)
	}
	return nil
}

// Publish says how a draft becomes live.
type Publish struct {
	// Etag is the revision of the draft that the writer saw; 0 takes what is there.
	Etag           int64
	Author, Reason string
	// Rebase puts the draft's own changes on top of what changed since.
	Rebase bool
}

// PublishDraft makes a draft the live list and takes the draft away, as one change.
// Errors: NotFound, Invalid with every fault under policies[i], Conflict with the
// current revision of the list when it was changed since the draft was taken from
// it, with rebase only when both changed the same policies, which the metadata
// name, and those of the log.
func (s *Store) PublishDraft(ctx context.Context, account, id string, p Publish) (Outcome, error) {
	for try := 1; ; try++ {
		out, err := s.publish(ctx, account, id, p)
		if !p.Rebase || try == maxTries || fault.KindOf(err) != fault.Conflict || isClash(err) {
			return out, err
		}
	}
}

func (s *Store) publish(ctx context.Context, account, id string, p Publish) (Outcome, error) {
	d, err := s.Draft(account, id)
	if err != nil {
		return Outcome{}, err
	}
	if p.Etag != 0 && p.Etag != d.Revision {
		return Outcome{}, conflict(d.Revision, "draft %q was changed meanwhile: read it again and retry", id)
	}
	live, revision := s.live(account)
	target := d.entries()
	if revision != d.Base {
		if !p.Rebase {
			return Outcome{}, conflict(revision, "the policies were changed since draft %q was taken from them at revision %d: publish it with rebase, or make it anew", id, d.Base)
		}
		base, err := s.entriesAt(account, d.Base)
		if err != nil {
			return Outcome{}, err
		}
		if target, err = rebased(base, target, live, d.Base, revision); err != nil {
			return Outcome{}, err
		}
	}
	if err := s.checkTarget(account, live, target); err != nil {
		return Outcome{}, err
	}
	gone := event.ConfigPart{Kind: configlog.KindDraft, Name: id, Base: d.Revision, Deleted: true}
	c := ListChange{Seen: revision, Author: p.Author, Reason: p.Reason}
	if c.Reason == "" {
		c.Reason = d.Description
	}
	return s.put(ctx, account, live, target, c, gone)
}
