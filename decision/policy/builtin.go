package policy

import "strings"

// BuiltinAttribute is an attribute that every account has.
type BuiltinAttribute struct {
	Name        string // with <skill> for the id of a skill
	Type        AttributeType
	Description string
	Allowed     []any // the values it can have; anything when empty
}

// BuiltinAttributes lists the attributes that every account has: the request's
// fields, the clock, live skill state, conversation.*, orchestrator.* and sde.*.
func BuiltinAttributes() []BuiltinAttribute {
	all := []BuiltinAttribute{
		{Name: "channel", Type: TypeString, Description: "channel of the conversation"},
		{Name: "intent", Type: TypeString, Description: "what the consumer wants, as the bot understood it"},
		{Name: "user_message", Type: TypeString, Description: "what the consumer said last"},
		{Name: "conversation_id", Type: TypeString, Description: "the conversation"},
		{Name: "consumer_id", Type: TypeString, Description: "the consumer, when known"},
		{Name: "visitor_id", Type: TypeString, Description: "the visitor of a web page"},
		{Name: "session_id", Type: TypeString, Description: "session of the context store"},
		{Name: "hour", Type: TypeNumber, Description: "hour of the decision in UTC, 0 to 23"},
		{Name: "minute", Type: TypeNumber, Description: "minute of the decision, 0 to 59"},
		{Name: "weekday", Type: TypeString, Description: "day of the decision in UTC", Allowed: []any{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}},
		{Name: "date", Type: TypeString, Description: "day of the decision in UTC, such as 2026-11-22"},

		{Name: "skill.<skill>.agents_online", Type: TypeNumber, Description: "agents of the skill who are online"},
		{Name: "skill.<skill>.queue_size", Type: TypeNumber, Description: "conversations that wait for the skill"},
		{Name: "skill.<skill>.load", Type: TypeNumber, Description: "share of the skill's capacity in use, 0 to 1"},
		{Name: "skill.<skill>.wait_avg_seconds", Type: TypeNumber, Description: "mean wait for an agent in the last 60 minutes"},
		{Name: "skill.<skill>.age_seconds", Type: TypeNumber, Description: "age of what is known of the skill"},

		{Name: "conversation.minutesSinceStartConversation", Type: TypeNumber, Description: "minutes since the conversation began"},
		{Name: "conversation.minutesSincePreviousMessage", Type: TypeNumber, Description: "minutes since the message before this one"},
		{Name: "conversation.previousAgentId", Type: TypeString, Description: "the agent who had the consumer last"},
		{Name: "conversation.currentSkillId", Type: TypeString, Description: "the skill that has the conversation"},
		{Name: "conversation.previousSkillId", Type: TypeString, Description: "the skill that had it before"},
		{Name: "conversation.conversationId", Type: TypeString, Description: "the same as conversation_id"},
		{Name: "conversation.consumerId", Type: TypeString, Description: "the same as consumer_id"},
		{Name: "conversation.groupId", Type: TypeString, Description: "the same as session_id"},

		{Name: "orchestrator.channel", Type: TypeString, Description: "the same as channel"},
		{Name: "orchestrator.userMessage", Type: TypeString, Description: "the same as user_message"},
		{Name: "orchestrator.intent", Type: TypeString, Description: "the same as intent"},
	}
	return append(all, sdeAttributes()...)
}

const (
	customerInfo = "sde.visitorinfo.customerinfo."
	personalInfo = "sde.visitorinfo.personalinfo."
)

// sdeAttributes are what a web page tells of its visitor; dates and the age are
// objects, whose parts are attributes too.
func sdeAttributes() []BuiltinAttribute {
	return []BuiltinAttribute{
		{Name: customerInfo + "ctype", Type: TypeString, Description: "type of customer, such as vip"},
		{Name: customerInfo + "cstatus", Type: TypeString, Description: "status of the customer"},
		{Name: customerInfo + "balance", Type: TypeNumber, Description: "balance of the account"},
		{Name: customerInfo + "customerid", Type: TypeString, Description: "id of the customer"},
		{Name: customerInfo + "socialid", Type: TypeString, Description: "id in a social network"},
		{Name: customerInfo + "imei", Type: TypeString, Description: "id of the device"},
		{Name: customerInfo + "username", Type: TypeString, Description: "name of the user account"},
		{Name: customerInfo + "companysize", Type: TypeAny, Description: "size of the company"},
		{Name: customerInfo + "companybranch", Type: TypeString, Description: "branch of the company"},
		{Name: customerInfo + "accountname", Type: TypeString, Description: "name of the company's account"},
		{Name: customerInfo + "role", Type: TypeString, Description: "role in the company"},
		{Name: customerInfo + "loginstatus", Type: TypeAny, Description: "whether the visitor is logged in"},
		{Name: customerInfo + "lastpaymentdate", Type: TypeObject, Description: "day of the last payment: day, month, year"},
		{Name: customerInfo + "registrationdate", Type: TypeObject, Description: "day of the registration: day, month, year"},
		{Name: personalInfo + "age", Type: TypeObject, Description: "age and birthday: age, day, month, year"},
		{Name: personalInfo + "gender", Type: TypeString, Description: "gender"},
		{Name: personalInfo + "language", Type: TypeString, Description: "language"},
		{Name: personalInfo + "company", Type: TypeString, Description: "company"},
	}
}

// partsOf lists what an object among the builtin attributes holds.
func partsOf(name string) []string {
	switch name {
	case customerInfo + "lastpaymentdate", customerInfo + "registrationdate":
		return []string{"day", "month", "year"}
	case personalInfo + "age", customerInfo + "age":
		return []string{"age", "day", "month", "year"}
	}
	return nil
}

// builtinTypes are the builtin attributes by name, parts of objects included,
// live state not.
func builtinTypes() map[string]Attribute {
	out := map[string]Attribute{customerInfo + "age": {Type: TypeObject}}
	for _, b := range BuiltinAttributes() {
		if !strings.HasPrefix(b.Name, skillPrefix) {
			out[b.Name] = Attribute{Type: b.Type, Allowed: b.Allowed, Source: "builtin"}
		}
	}
	for _, name := range sortedKeys(out) {
		for _, part := range partsOf(name) {
			out[name+"."+part] = Attribute{Type: TypeNumber, Source: "builtin"}
		}
	}
	return out
}
