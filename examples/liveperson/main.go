// Command liveperson is a bot in small that was written for LivePerson's
// Conversation Orchestrator: it keeps what it learned of a conversation in the
// context service, asks Next Actions, and carries the answer out by printing it.
// It knows nothing of Usher but the host:
//
//	export LP_HOST=http://127.0.0.1:8080 LP_ACCOUNT=default LP_KEY=usher_...
//	go run ./examples/liveperson -conversation c-81 -intent invoice
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"
)

// namespace is where the bot keeps context; "bot.intent" in policies.
const namespace = "bot"

func main() {
	if err := run(context.Background(), os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "liveperson:", err)
		os.Exit(1)
	}
}

// run is the program.
func run(ctx context.Context, args []string, env func(string) string, out io.Writer) error {
	f := flag.NewFlagSet("liveperson", flag.ContinueOnError)
	conversation := f.String("conversation", "c-1", "id of the conversation")
	consumer := f.String("consumer", "", "id of the consumer, who is remembered in other conversations")
	intent := f.String("intent", "", "what the consumer wants")
	if err := f.Parse(args); err != nil {
		return err
	}
	c := &client{host: env("LP_HOST"), account: env("LP_ACCOUNT"), key: env("LP_KEY"), deadline: 10 * time.Second, pause: 2 * time.Second}
	if c.host == "" || c.account == "" || c.key == "" {
		return fmt.Errorf("set LP_HOST, LP_ACCOUNT and LP_KEY")
	}
	saved, err := c.set(ctx, namespace, *conversation, map[string]any{"intent": *intent})
	if err != nil {
		return fmt.Errorf("save the context: %w", err)
	}
	fmt.Fprintf(out, "context: %v\n", saved)
	next, err := c.nextActions(ctx, url.Values{"conversationId": {*conversation}, "consumerId": {*consumer}})
	if err != nil {
		return fmt.Errorf("ask for next actions: %w", err)
	}
	return act(out, next)
}

// act carries the actions out in their order.
func act(out io.Writer, next *nextActions) error {
	if next.Rule == nil {
		_, err := fmt.Fprintf(out, "no rule (%s): the fallback skill takes over\n", next.NoMatch)
		return err
	}
	fmt.Fprintf(out, "rule %s, decision %s\n", next.Rule.Name, next.ID)
	for _, a := range next.Rule.Actions {
		switch a.Type {
		case "SEND_MESSAGE":
			fmt.Fprintf(out, "say: %v\n", a.Payload["text"])
		case "TRANSFER_TO_SKILL":
			fmt.Fprintf(out, "transfer to skill %v\n", a.Payload["skillId"])
		case "TRANSFER_TO_AGENT":
			fmt.Fprintf(out, "transfer to agent %v, else to skill %v\n", a.Payload["agentId"], a.Payload["fallbackSkillId"])
		default:
			fmt.Fprintf(out, "%s is not for this bot\n", a.Type)
		}
	}
	return nil
}
