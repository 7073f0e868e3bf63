package policy

import (
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a time zone must mean the same on every machine
)

// Window is a recurring time of day: from From (included) to To (excluded) in
// Zone on Days. A window whose To is before its From runs past midnight and
// belongs to the day on which it began. Empty From and To mean the whole day,
// empty Days every day, empty Zone UTC.
type Window struct {
	From string   `json:"from,omitempty"` // HH:MM or HH:MM:SS
	To   string   `json:"to,omitempty"`
	Zone string   `json:"zone,omitempty"` // IANA name
	Days []string `json:"days,omitempty"` // MON, TUE, WED, THU, FRI, SAT, SUN
	// Calendar names business hours of the account in place of the other fields.
	Calendar string `json:"calendar,omitempty"`
	// Attribute names a string attribute with an RFC 3339 time to look at
	// instead of the decision's own.
	Attribute string `json:"attribute,omitempty"`
}

func weekdayName(d time.Weekday) string {
	return [...]string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}[d]
}

func weekdayOf(name string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if weekdayName(d) == name {
			return d, true
		}
	}
	return 0, false
}

const daySeconds = 24 * 60 * 60

// clock is a compiled window without a calendar.
type clock struct {
	span
	zone *time.Location
	days [7]bool
}

func compileWindow(w *Window, path string, f *findings) *clock {
	return &clock{
		span: spanOf(w.From, w.To, path, f), zone: zoneOf(w.Zone, path+".zone", f), days: daysOf(w.Days, path+".days", f),
	}
}

func secondsOf(s string, missing int, path string, f *findings) int {
	if s == "" {
		return missing
	}
	if s == "24:00" || s == "24:00:00" {
		return daySeconds
	}
	for _, layout := range []string{"15:04", time.TimeOnly} {
		// Parse alone would take 9:00 and 09:00:00.5 too.
		if t, err := time.Parse(layout, s); err == nil && len(s) == len(layout) {
			return t.Hour()*3600 + t.Minute()*60 + t.Second()
		}
	}
	f.fail(CodeBadTime, path, "%q is not a time of day such as 09:00", s)
	return missing
}

// holds reports whether the clock on the wall of the zone shows a time of the
// window at t: where clocks are set back, an hour of it counts twice, and where
// they are set forward, what they skip never comes.
func (c *clock) holds(t time.Time) bool {
	t = t.In(c.zone)
	second := t.Hour()*3600 + t.Minute()*60 + t.Second()
	day := t.Weekday()
	return c.days[day] && second >= c.from && second < c.to ||
		c.days[(day+6)%7] && second+daySeconds < c.to
}

// String spells the window for traces.
func (w *Window) String() string {
	if w.Calendar != "" {
		return "calendar " + w.Calendar
	}
	parts := []string{}
	if len(w.Days) > 0 {
		parts = append(parts, strings.Join(w.Days, ","))
	}
	parts = append(parts, orElse(w.From, "00:00")+"-"+orElse(w.To, "24:00"), orElse(w.Zone, "UTC"))
	return strings.Join(parts, " ")
}

// canonicalDays upper-cases, shortens to three letters, removes repetitions.
func canonicalDays(days []string) []string {
	out := make([]string, 0, len(days))
	sound := true
	for _, d := range days {
		d = strings.ToUpper(strings.TrimSpace(d))
		for weekday := time.Sunday; weekday <= time.Saturday; weekday++ {
			if d == strings.ToUpper(weekday.String()) {
				d = weekdayName(weekday)
			}
		}
		_, ok := weekdayOf(d)
		sound = sound && ok
		out = append(out, d)
	}
	if !sound {
		return out // each in its place, where its fault is told
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(out, func(d string) bool {
		again := seen[d]
		seen[d] = true
		return again
	})
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
