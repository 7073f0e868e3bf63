package foreign

import (
	"fmt"
	"strings"

	"github.com/usherhq/usher/decision/policy"
)

// taskRouter reads a workflow: its filters become policies, their targets steps,
// the default filter the default policy.
func (r *reader) taskRouter(tree any) {
	o := asObject(tree, "", &r.sink)
	// The API answers the workflow as a text inside of a resource.
	if text, ok := o.fields["configuration"].(string); ok {
		inner, err := readTree([]byte(text), "configuration", &r.sink)
		if err != nil {
			r.err("configuration", policy.CodeInvalid, "is not JSON: %s", err)
			return
		}
		o.known = append(o.known, "configuration")
		o.done()
		o = asObject(inner, "configuration", &r.sink)
	}
	defer o.done()
	v, path, ok := o.take("task_routing")
	if !ok {
		r.err(path, policy.CodeMissing, "is missing: a workflow is {\"task_routing\": {\"filters\": [...], \"default_filter\": {...}}}")
		return
	}
	routing := asObject(v, path, &r.sink)
	fallback, title := r.defaultQueue(routing)
	filters, at := routing.list("filters")
	for i, filter := range filters {
		r.filter(filter, index(at, i), fallback)
	}
	r.policy = ""
	if len(filters) == 0 && routing.fields["default_filter"] == nil {
		r.err(path, policy.CodeMissing, "has neither filters nor a default_filter")
	}
	if fallback != "" {
		r.policy = policy.DefaultName
		r.ids[policy.DefaultName] = true
		r.keep(doc{
			"name": policy.DefaultName, "display_name": title, "enabled": true,
			"effect": doc{"fixed": doc{"actions": []any{queueAction(fallback, nil)}}},
		}, join(path, "default_filter"), r.errors, asIs)
		r.policy = ""
	}
	routing.done()
}

// defaultQueue reads the default filter: its queue and what people call it.
func (r *reader) defaultQueue(routing *object) (queue, title string) {
	v, path, ok := routing.take("default_filter")
	if !ok {
		return "", ""
	}
	o := asObject(v, path, &r.sink)
	queue, ok = o.text("queue", "task_queue_sid")
	if !ok {
		r.err(join(path, "queue"), policy.CodeMissing, "is missing: name the queue")
	}
	if title, ok = o.text("filter_friendly_name", "friendly_name"); !ok {
		title = "Default filter"
	}
	o.done()
	return taskTemplate(queue), title
}

func queueAction(queue string, priority any) doc {
	action := doc{"type": "TRANSFER_TO_SKILL", "target": queue}
	if priority != nil {
		action["payload"] = doc{"priority": priority}
	}
	return action
}

func (r *reader) filter(v any, path, fallback string) {
	before := r.errors
	o := asObject(v, path, &r.sink)
	title, _ := o.text("filter_friendly_name", "friendly_name")
	d := doc{"name": r.claim(title, "", path, false)}
	if title != "" && title != d["name"] {
		d["display_name"] = title
	}
	if text, ok := o.text("expression"); ok {
		t := &translator{out: &r.sink, path: join(path, "expression"), rename: taskName, nulls: true}
		if c := t.expression(text); len(c) > 0 {
			d["when"] = c
		}
	} else {
		r.err(join(path, "expression"), policy.CodeMissing, "is missing: write 1==1 for a filter that always holds")
	}
	targets, at := o.list("targets")
	if d["effect"] = r.targets(targets, at, fallback); len(targets) == 0 {
		r.err(at, policy.CodeMissing, "is empty: a filter needs a target")
		d["effect"] = doc{"fixed": doc{"actions": []any{standIn()}}}
	}
	o.done()
	r.keep(d, path, before, func(p string) string {
		return strings.NewReplacer("effect.steps[", "targets[", "expires_after", "timeout", "skip_when", "skip_if", "when", "expression").Replace(p)
	})
}

// taskName turns the name of a task's attribute, or a worker's, into Usher's.
func taskName(name string) string {
	name = strings.TrimPrefix(name, "task.")
	rest, ofWorker := strings.CutPrefix(name, "worker.")
	switch {
	case !ofWorker:
		return name
	case rest == "sid":
		return "candidate.target"
	}
	return "candidate." + rest
}

// taskTemplate turns {{task.name}} into {{name}}.
func taskTemplate(text string) string {
	if name, ok := wholeTemplate(text); ok {
		return "{{" + taskName(name) + "}}"
	}
	return text
}

// targets turns a filter's targets into an effect. When the last one can lapse,
// the default queue follows it: in TaskRouter a task never meets a later filter.
func (r *reader) targets(list []any, path, fallback string) doc {
	var steps []any
	open := true // the last target so far may lapse or be passed over
	for i, v := range list {
		step := r.target(v, index(path, i))
		if !open {
			r.warn(index(path, i), policy.CodeUnreachable, "is never reached: the target before it has neither timeout nor skip_if, so it is left out")
			continue
		}
		steps = append(steps, step)
		open = step["expires_after"] != nil || step["skip_when"] != nil
	}
	if len(steps) == 1 && !open {
		one, _ := steps[0].(doc)
		return one
	}
	if open && fallback != "" {
		steps = append(steps, doc{"fixed": doc{"actions": []any{queueAction(fallback, nil)}}})
	}
	return doc{"steps": steps}
}

// target translates one target. With an expression on workers it ranks the
// workers that the caller offers, else it answers the queue or the known worker.
func (r *reader) target(v any, path string) doc {
	o := asObject(v, path, &r.sink)
	queue, ok := o.text("queue", "task_queue_sid")
	if !ok {
		r.err(join(path, "queue"), policy.CodeMissing, "is missing: name the queue")
		queue = "queue"
	}
	queue = taskTemplate(queue)
	priority, priorityPath, hasPriority := o.take("priority")
	step := doc{}
	if timeout, at, ok := o.take("timeout"); ok {
		if seconds, isNumber := numberOf(timeout); isNumber {
			step["expires_after"] = seconds.String() + "s"
		} else {
			r.unreadable(at, timeout, "a number of seconds")
			step["expires_after"] = "1s"
		}
	}
	if order, ok := o.text("order_by"); ok {
		r.warn(join(path, "order_by"), CodeNotTaken, "%q is left out: the model, or the caller's own order, ranks", order)
	}
	r.skip(o, step, queue)
	worker, known := o.text("known_worker_sid", "known_worker_friendly_name")
	restriction := r.restriction(o, path)
	o.done()
	switch {
	case known:
		step["fixed"] = doc{"actions": []any{agentAction(worker, queue, priority)}}
		r.warn(join(path, "queue"), CodeApproximated, "%s becomes the fallback skill: it answers at once where the known worker is away or lacks it, where TaskRouter waits for the timeout", queue)
		if len(restriction) > 0 {
			r.err(join(path, "expression"), CodeNotSayable, "a known worker cannot be tested by an expression too; leave one out")
		}
	case len(restriction) > 0:
		step["rank"] = doc{"where": doc{"all": append([]any{ofQueue(queue)}, restriction)}}
		r.warn(path, CodeCandidates, "ranks workers of %s: the caller must offer them as candidates of type TRANSFER_TO_AGENT "+
			"with the attribute queues and those of the expression; without one to offer the next step answers at once", queue)
		if hasPriority {
			r.warn(priorityPath, CodeNotTaken, "is left out: a ranked candidate keeps the payload that the caller gave it")
		}
	default:
		step["fixed"] = doc{"actions": []any{queueAction(queue, priority)}}
	}
	return step
}

func ofQueue(queue string) doc {
	if name, ok := wholeTemplate(queue); ok {
		return doc{"attribute": "candidate.queues", "operator": "contains", "value_from": name}
	}
	return doc{"attribute": "candidate.queues", "operator": "contains", "value": queue}
}

// agentAction sends to a known worker. The queue in which it waits for that worker
// is where others take over.
func agentAction(worker, queue string, priority any) doc {
	switch {
	case strings.HasPrefix(worker, "task."):
		worker = "{{" + taskName(worker) + "}}"
	default:
		worker = taskTemplate(worker)
	}
	payload := doc{policy.PayloadFallbackSkill: queue}
	if priority != nil {
		payload["priority"] = priority
	}
	return doc{"type": policy.TransferToAgent, "target": worker, "payload": payload}
}

// restriction translates a target's expression on workers; empty when it always
// holds.
func (r *reader) restriction(o *object, path string) doc {
	text, ok := o.text("expression")
	if !ok {
		return nil
	}
	t := &translator{out: &r.sink, path: join(path, "expression"), rename: taskName, nulls: true}
	return t.expression(text)
}

// skip translates skip_if. How many workers are available is known from the live
// state of the queue's skill.
func (r *reader) skip(o *object, step doc, queue string) {
	text, ok := o.text("skip_if")
	if !ok {
		return
	}
	path := join(o.path, "skip_if")
	t := &translator{out: &r.sink, path: path, rename: taskName, nulls: true}
	t.special = func(n *node) (doc, bool) { return r.available(t, n, queue) }
	c := t.expression(text)
	if step["skip_when"] = c; len(c) == 0 {
		r.warn(path, policy.CodeUnreachable, "always holds: the target is always passed over")
	}
}

// available takes over comparisons of workers.available with nobody.
func (r *reader) available(t *translator, n *node, queue string) (doc, bool) {
	op, left, right := n.op, n.args[0], fold(n.args[1])
	if right.kind == nodeName {
		op, left, right = mirror(op), right, fold(left)
	}
	if left.kind != nodeName || !strings.HasPrefix(left.name, "workers.") {
		return nil, false
	}
	limit, isNumber := right.value.(float64)
	_, template := wholeTemplate(queue)
	if left.name != "workers.available" || !isNumber || template {
		return t.fail(n, CodeNotSayable, "only workers.available of a queue named in the workflow can be compared, and only with 0"), true
	}
	nobody := doc{"any": []any{
		doc{"attribute": "skill." + queue + ".agents_online", "operator": "equal", "value": 0},
		doc{"attribute": "skill." + queue + ".load", "operator": "greater_than_or_equal", "value": 1},
	}}
	switch key := fmt.Sprintf("%s %v", op, limit); key {
	case "== 0", "<= 0", "< 1":
	case "> 0", ">= 1", "!= 0":
		nobody = doc{"not": nobody}
	default:
		return t.fail(n, CodeNotSayable, "workers.available can only be compared with 0: live state knows agents_online, load, queue_size and wait_avg_seconds"), true
	}
	r.warn(t.path, CodeApproximated, "workers.available becomes the live state of the skill %s: nobody online, or all of them at their limit", queue)
	return nobody, true
}
