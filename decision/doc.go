// Package decision is the engine: it takes what a conversation asks, lets
// policies say what is allowed, lets the model rank what is left, explores
// inside that, and writes down everything it knew.
//
// The order is fixed. Facts fill the slots of the compiled policies; policies
// are walked in order, bans add up, the first policy with something to offer
// decides; the model scores; levers turn scores into priorities; exploration
// draws the first action, the rest follow by priority. The mode of the scope
// says whether the model's answer is given or only written down.
//
// Nothing here waits for a network or takes a lock: policies, models, modes and
// live state come from sources that answer from memory. The same request id
// with the same policies, model and live state gets the same answer.
package decision
