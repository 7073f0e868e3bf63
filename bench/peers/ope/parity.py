"""What the Open Bandit Pipeline makes of the four directions of the small Open Bandit logs, given one table of
rewards per campaign: the click rate by slot and item, smoothed, of the random log. Writes CAMPAIGN_predictions.csv
(position, item_id, predicted) and prints the estimates. Usage: parity.py OPENBANDIT_FOLDER OUT_FOLDER
"""
import sys
import numpy as np, pandas as pd
from obp.ope import (DirectMethod, DoublyRobust, InverseProbabilityWeighting, SelfNormalizedDoublyRobust,
                     SelfNormalizedInverseProbabilityWeighting)

def main(folder, out):
    for campaign, items in (("men", 34), ("women", 46)):
        random = pd.read_csv(f"{folder}/{campaign}_random.csv.gz")
        q = np.zeros((items, 3))
        for (a, s), g in random.groupby(["item_id", "position"]):
            q[a, s - 1] = (g.click.sum() + 0.0046 * 200) / (len(g) + 200)
        q = q.round(6)
        pd.DataFrame([(s + 1, a, q[a, s]) for s in range(3) for a in range(items)],
                     columns=["position", "item_id", "predicted"]).to_csv(f"{out}/{campaign}_predictions.csv", index=False)
        for policy in ("random", "bts"):
            log = random if policy == "random" else pd.read_csv(f"{folder}/{campaign}_bts.csv.gz")
            n = len(log)
            pi = np.full((items, 3), 1 / items)
            if policy == "random":
                t = pd.read_csv(f"{folder}/{campaign}_bts_policy.csv")
                pi[t.item_id, t.position - 1] = t.prob
            kw = dict(reward=log.click.to_numpy(), action=log.item_id.to_numpy(), pscore=log.propensity.to_numpy(),
                      position=log.position.to_numpy() - 1, action_dist=np.tile(pi, (n, 1, 1)),
                      estimated_rewards_by_reg_model=np.tile(q, (n, 1, 1)))
            for est in (InverseProbabilityWeighting(), SelfNormalizedInverseProbabilityWeighting(), DirectMethod(),
                        DoublyRobust(), SelfNormalizedDoublyRobust()):
                print(campaign, policy, est.estimator_name, "%.6g" % est.estimate_policy_value(**kw))

if __name__ == "__main__":
    main(*sys.argv[1:])
