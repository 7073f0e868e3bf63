package decision

// Reason codes of a decision, foremost first in its record.
const (
	ReasonPolicyMatch       = "POLICY_MATCH"            // a policy matched and decided or chose who may be ranked
	ReasonPolicyDefault     = "POLICY_DEFAULT"          // no policy decided; the account's default did
	ReasonModelRanked       = "MODEL_RANKED"            // the model's best candidate was drawn
	ReasonExplored          = "EXPLORED"                // another candidate was drawn, to learn
	ReasonHoldout           = "HOLDOUT"                 // this conversation stays with policy
	ReasonComparePolicy     = "COMPARE_POLICY"          // this conversation is on policy's side of the comparison
	ReasonShadowOnly        = "SHADOW_ONLY"             // the model only watched
	ReasonFallbackNoModel   = "FALLBACK_NO_MODEL"       // the model should have ranked, and there is none
	ReasonBaselineKept      = "BASELINE_KEPT"           // the caller's own choice was answered
	ReasonDenied            = "DENIED"                  // a policy took a candidate away
	ReasonEffectEmpty       = "EFFECT_EMPTY"            // a matching policy had nothing left to offer; the next one was asked
	ReasonSplit             = "SPLIT"                   // a policy shares conversations by weight
	ReasonStepWidened       = "STEP_WIDENED"            // a later step of the policy answered
	ReasonAgentAway         = "AGENT_UNAVAILABLE"       // a skill stands in for an agent
	ReasonFallbackDenied    = "FALLBACK_DENIED"         // a policy took away the skill that an agent would fall back to
	ReasonLoop              = "LOOP"                    // an action that leads back to the routing bot was left out
	ReasonArmRamp           = "ARM_RAMP"                // a new arm may have a small share yet, and would have had more
	ReasonNoExploration     = "NO_EXPLORATION"          // nothing is tried on this conversation
	ReasonExplorationBudget = "EXPLORATION_BUDGET"      // a target has had its exploratory draws of this hour
	ReasonWaitPriced        = "WAIT_PRICED"             // the price on waiting made another candidate the best
	ReasonWaitUnknown       = "WAIT_UNKNOWN"            // waiting has a price, and some candidate's live state is not known
	ReasonNoCandidate       = "NO_ELIGIBLE_CANDIDATE"   // nothing is left to answer
	VerdictDenied           = "DENIED_BY_POLICY:"       // verdict of a candidate: followed by the policy
	VerdictNotSelected      = "NOT_SELECTED_BY_POLICY:" // verdict: the deciding policy ranks others
	VerdictFixed            = "FIXED_BY_POLICY:"        // verdict: the deciding policy fixed another action
)

// Why no policy matched.
const (
	NoPolicies       = "NO_POLICIES"         // the account has none
	NoPoliciesLive   = "NO_ENABLED_POLICIES" // none of them is enabled and valid
	NoPolicyMatched  = "NO_POLICY_MATCHED"   // none of them holds, or only bans did
	NoPolicyHadOffer = "EFFECT_EMPTY"        // those that held had nothing left to offer
)
