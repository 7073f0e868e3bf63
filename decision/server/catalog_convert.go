package server

import (
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/usherhq/usher/decision/catalog"
	"github.com/usherhq/usher/decision/function"
	"github.com/usherhq/usher/decision/policy"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// stamp fills what every stored resource has; a built-in one has neither.
func stamp(m catalog.Meta) (etag string, updated *timestamppb.Timestamp) {
	if m.Revision == 0 {
		return "", nil
	}
	return etagOf(m.Revision), timestamppb.New(m.Updated)
}

// wrap makes a value of what the config log held, which is JSON.
func wrap(v any) *structpb.Value {
	if v == nil {
		return nil
	}
	out, err := structpb.NewValue(v)
	if err != nil {
		return nil
	}
	return out
}

func attributeTo(account string, a *catalog.Attribute) *usherv1.Attribute {
	out := &usherv1.Attribute{
		Name: "accounts/" + account + "/attributes/" + a.Name, Description: a.Description, Type: string(a.Type), Source: a.Source,
		Value: wrap(a.Value), Function: a.Function, ResultPath: a.Path, Pii: a.PII,
	}
	if len(a.Arguments) > 0 {
		out.Arguments = structOf(a.Arguments)
	}
	for _, v := range a.Allowed {
		out.AllowedValues = append(out.AllowedValues, wrap(v))
	}
	out.Etag, out.UpdateTime = stamp(a.Meta)
	return out
}

func attributeFrom(id string, m *usherv1.Attribute) (catalog.Attribute, error) {
	out := catalog.Attribute{
		Name: id, Description: m.GetDescription(), Type: policy.AttributeType(m.GetType()), Source: m.GetSource(),
		Value: m.GetValue().AsInterface(), Function: m.GetFunction(), Path: m.GetResultPath(), PII: m.GetPii(),
	}
	if len(m.GetArguments().GetFields()) > 0 {
		out.Arguments = m.GetArguments().AsMap()
	}
	for _, v := range m.GetAllowedValues() {
		out.Allowed = append(out.Allowed, v.AsInterface())
	}
	return out, nil
}

func functionTo(account string, f *catalog.Function) *usherv1.Function {
	out := &usherv1.Function{
		Name: "accounts/" + account + "/functions/" + f.ID, Description: f.Description, OnError: wrap(f.OnError),
		MaxConcurrency: int32(f.MaxConcurrency), //nolint:gosec // at most function.MaxConcurrency
	}
	if f.HTTP != nil {
		h := f.HTTP.MaskSecrets() // the names stay, so that what was read can be written
		out.Http = &usherv1.HttpFunction{Url: h.URL, Method: h.Method, Headers: h.Headers, SecretHeaders: h.SecretHeaders}
	}
	if f.JavaScript != nil {
		out.Javascript = &usherv1.JavascriptFunction{Source: f.JavaScript.Source}
	}
	if f.Timeout != 0 {
		out.Timeout = durationpb.New(f.Timeout)
	}
	if f.CacheTTL != 0 {
		out.CacheTtl = durationpb.New(f.CacheTTL)
	}
	out.Etag, out.UpdateTime = stamp(f.Meta)
	return out
}

func functionFrom(id string, m *usherv1.Function) (catalog.Function, error) {
	out := catalog.Function{Description: m.GetDescription()}
	out.Function = function.Function{
		ID: id, Timeout: m.GetTimeout().AsDuration(), CacheTTL: m.GetCacheTtl().AsDuration(),
		OnError: m.GetOnError().AsInterface(), MaxConcurrency: int(m.GetMaxConcurrency()),
	}
	for field, d := range map[string]*durationpb.Duration{"timeout": m.GetTimeout(), "cache_ttl": m.GetCacheTtl()} {
		if d != nil && d.CheckValid() != nil {
			return out, invalid(field, "is no duration")
		}
	}
	if h := m.GetHttp(); h != nil {
		out.HTTP = &function.HTTP{URL: h.GetUrl(), Method: h.GetMethod(), Headers: h.GetHeaders(), SecretHeaders: h.GetSecretHeaders()}
	}
	if j := m.GetJavascript(); j != nil {
		out.JavaScript = &function.JavaScript{Source: j.GetSource()}
	}
	return out, nil
}

func calendarTo(account string, k *catalog.Calendar) *usherv1.Calendar {
	out := &usherv1.Calendar{Name: "accounts/" + account + "/calendars/" + k.ID, Description: k.Description, Zone: k.Zone}
	for _, h := range k.Hours {
		out.Hours = append(out.Hours, &usherv1.OpeningHours{Days: h.Days, From: h.From, To: h.To})
	}
	for i, h := range k.Holidays {
		day := &usherv1.Holiday{Date: h.Date, From: h.From, To: h.To}
		if i < len(k.Notes) {
			day.Description = k.Notes[i]
		}
		out.Holidays = append(out.Holidays, day)
	}
	out.Etag, out.UpdateTime = stamp(k.Meta)
	return out
}

func calendarFrom(id string, m *usherv1.Calendar) (catalog.Calendar, error) {
	out := catalog.Calendar{ID: id, Description: m.GetDescription()}
	out.Zone = m.GetZone()
	for _, h := range m.GetHours() {
		out.Hours = append(out.Hours, policy.Hours{Days: h.GetDays(), From: h.GetFrom(), To: h.GetTo()})
	}
	for i, h := range m.GetHolidays() {
		out.Holidays = append(out.Holidays, policy.Holiday{Date: h.GetDate(), From: h.GetFrom(), To: h.GetTo()})
		if h.GetDescription() != "" {
			for len(out.Notes) < i {
				out.Notes = append(out.Notes, "")
			}
			out.Notes = append(out.Notes, h.GetDescription())
		}
	}
	return out, nil
}

func skillTo(account string, v *catalog.Skill) *usherv1.Skill {
	out := &usherv1.Skill{Name: "accounts/" + account + "/skills/" + v.ID, DisplayName: v.DisplayName, Description: v.Description, ExplorationPerHour: v.ExplorationPerHour}
	out.Etag, out.UpdateTime = stamp(v.Meta)
	return out
}

func skillFrom(id string, m *usherv1.Skill) (catalog.Skill, error) {
	out := catalog.Skill{ID: id, DisplayName: m.GetDisplayName(), Description: m.GetDescription()}
	if m != nil {
		out.ExplorationPerHour = m.ExplorationPerHour
	}
	return out, nil
}

func agentTo(account string, a *catalog.Agent) *usherv1.Agent {
	out := &usherv1.Agent{Name: "accounts/" + account + "/agents/" + a.ID, DisplayName: a.DisplayName, Skills: a.Skills}
	out.Etag, out.UpdateTime = stamp(a.Meta)
	return out
}

func agentFrom(id string, m *usherv1.Agent) (catalog.Agent, error) {
	return catalog.Agent{ID: id, DisplayName: m.GetDisplayName(), Skills: m.GetSkills()}, nil
}

func botTo(account string, b *catalog.Bot) *usherv1.Bot {
	out := &usherv1.Bot{Name: "accounts/" + account + "/bots/" + b.ID, DisplayName: b.DisplayName, Description: b.Description, Skills: b.Skills}
	out.Etag, out.UpdateTime = stamp(b.Meta)
	return out
}

func botFrom(id string, m *usherv1.Bot) (catalog.Bot, error) {
	return catalog.Bot{ID: id, DisplayName: m.GetDisplayName(), Description: m.GetDescription(), Skills: m.GetSkills()}, nil
}
