package policy

import (
	"strings"
	"time"
)

// DateWindow is a stretch of the calendar. From and To are RFC 3339 instants or
// dates such as 2026-12-24; a date counts in Zone, and To includes its day. An
// instant in To is not included. Either may be left out. Days narrows it to days
// of the week in Zone.
type DateWindow struct {
	From string   `json:"from,omitempty"`
	To   string   `json:"to,omitempty"`
	Zone string   `json:"zone,omitempty"` // IANA name; UTC when empty
	Days []string `json:"days,omitempty"` // MON, TUE, WED, THU, FRI, SAT, SUN
	// Attribute names a string attribute with an RFC 3339 time or a date to look at
	// instead of the decision's own time.
	Attribute string `json:"attribute,omitempty"`
}

// dates is a compiled [DateWindow] or [Schedule].
type dates struct {
	zone     *time.Location
	days     [7]bool
	from, to bound
}

// bound is one end: a day of the zone's calendar or an instant, neither when open.
type bound struct {
	day int // yyyymmdd, 0 when it is an instant
	at  time.Time
}

func (b *bound) open() bool { return b.day == 0 && b.at.IsZero() }

func compileDates(w *DateWindow, path string, f *findings) *dates {
	d := &dates{
		zone: zoneOf(w.Zone, path+".zone", f), days: daysOf(w.Days, path+".days", f),
		from: boundOf(w.From, path+".from", f), to: boundOf(w.To, path+".to", f),
	}
	if !d.from.open() && !d.to.open() && d.last().Before(d.first()) {
		f.fail(CodeBadTime, path+".to", "is before from; it could never hold")
	}
	return d
}

func boundOf(text, path string, f *findings) bound {
	if text == "" {
		return bound{}
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return bound{day: dayKey(t)}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		f.fail(CodeBadTime, path, "%q is neither a date such as 2026-12-24 nor an RFC 3339 time such as 2026-12-24T18:00:00+01:00", text)
	}
	return bound{at: t}
}

func (b *bound) date(zone *time.Location, plus int) time.Time {
	return time.Date(b.day/10000, time.Month(b.day/100%100), b.day%100+plus, 0, 0, 0, 0, zone)
}

func (d *dates) first() time.Time {
	if d.from.day == 0 {
		return d.from.at
	}
	return d.from.date(d.zone, 0)
}

func (d *dates) last() time.Time {
	if d.to.day == 0 {
		return d.to.at
	}
	return d.to.date(d.zone, 1).Add(-1)
}

// holds compares dates with dates rather than with the instant of a midnight,
// which some zones do not have on the day their clocks change.
func (d *dates) holds(t time.Time) bool {
	t = t.In(d.zone)
	day := dayKey(t)
	switch {
	case !d.days[t.Weekday()]:
		return false
	case d.from.day != 0 && day < d.from.day || d.from.day == 0 && t.Before(d.from.at):
		return false
	case d.over(t):
		return false
	}
	return true
}

// over reports whether it can never hold from t on.
func (d *dates) over(t time.Time) bool {
	if d.to.day != 0 {
		return dayKey(t.In(d.zone)) > d.to.day
	}
	return !d.to.at.IsZero() && !t.Before(d.to.at)
}

// String spells the window for traces.
func (w *DateWindow) String() string {
	parts := []string{}
	if len(w.Days) > 0 {
		parts = append(parts, strings.Join(w.Days, ","))
	}
	return strings.Join(append(parts, w.From+".."+w.To, orElse(w.Zone, "UTC")), " ")
}

// dateTime reads an RFC 3339 time, or a date as noon of that day in the zone so
// that it falls on this very day there.
func dateTime(v *value, zone *time.Location) (time.Time, bool) {
	if t, ok := parseTime(v); ok {
		return t, true
	}
	if v.kind != kindString {
		return time.Time{}, false
	}
	t, err := time.ParseInLocation(time.DateOnly, v.str, zone)
	return t.Add(12 * time.Hour), err == nil
}
