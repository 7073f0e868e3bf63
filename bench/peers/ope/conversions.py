"""Logged bandits with an exact truth, and what the Open Bandit Pipeline makes of them.

For every seed, a labelled table is split; a behaviour policy (0.4 logistic regression + 0.6 uniform) and a target
(0.9 forest + 0.1 uniform) are fitted on 30 % and one action is drawn per row of the other 70 %. Written are
SET_policies.csv.gz (seed, row, behaviour, target, action: the classifiers' answers as label numbers in alphabetical
order, rows counted from 0 in the table) and SET_obp.csv (seed, truth and OBP's estimates with a logistic reward
model in 3 folds). Usage: conversions.py TABLE.csv.gz SEEDS OUT_DIR
"""
import gzip, os, sys, time
import numpy as np, pandas as pd
from obp.dataset import MultiClassToBanditReduction
from obp.ope import (DirectMethod, DoublyRobust, DoublyRobustWithShrinkageTuning, InverseProbabilityWeighting,
                     RegressionModel, SelfNormalizedDoublyRobust, SelfNormalizedInverseProbabilityWeighting,
                     SwitchDoublyRobustTuning)
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import minmax_scale

LAMBDAS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, np.inf]

def main(path, seeds, out):
    name = os.path.basename(path).split(".")[0]
    table = pd.read_csv(path, dtype={"label": str})
    X = minmax_scale(table.drop(columns="label").to_numpy(float))
    labels = sorted(table["label"].unique())
    y = table["label"].map({l: i for i, l in enumerate(labels)}).to_numpy()
    X1 = np.hstack([X, np.arange(len(X))[:, None]])  # the row's number goes along
    policies, results = [], []
    for seed in range(seeds):
        data = MultiClassToBanditReduction(X=X, y=y, base_classifier_b=LogisticRegression(max_iter=1000, C=1000.0),
                                           alpha_b=0.4, dataset_name=name)
        data.split_train_eval(eval_size=0.7, random_state=seed)
        rows = MultiClassToBanditReduction(X=X1, y=y, base_classifier_b=LogisticRegression(), alpha_b=0.4)
        rows.split_train_eval(eval_size=0.7, random_state=seed)
        row = rows.X_ev[:, -1].astype(int)
        log = data.obtain_batch_bandit_feedback(random_state=seed)
        forest = RandomForestClassifier(n_estimators=30, max_depth=5, min_samples_leaf=10, random_state=seed)
        pi_e = data.obtain_action_dist_by_eval_policy(base_classifier_e=forest, alpha_e=0.9)
        truth = data.calc_ground_truth_policy_value(action_dist=pi_e)
        behaviour = log["pi_b"][:, :, 0].argmax(1)
        policies.append(pd.DataFrame({"seed": seed, "row": row, "behaviour": behaviour,
                                      "target": pi_e[:, :, 0].argmax(1), "action": log["action"]}))
        t = time.time()
        model = RegressionModel(n_actions=len(labels), len_list=1, base_model=LogisticRegression(max_iter=1000))
        q = model.fit_predict(context=log["context"], action=log["action"], reward=log["reward"], pscore=log["pscore"],
                              n_folds=3, random_state=seed)
        r = {"seed": seed, "truth": truth, "behaviour": log["reward"].mean()}
        kw = dict(reward=log["reward"], action=log["action"], pscore=log["pscore"], action_dist=pi_e,
                  estimated_rewards_by_reg_model=q, position=np.zeros(len(row), int))
        for key, est in {"dm": DirectMethod(), "ips": InverseProbabilityWeighting(),
                         "snips": SelfNormalizedInverseProbabilityWeighting(), "dr": DoublyRobust(),
                         "sndr": SelfNormalizedDoublyRobust()}.items():
            r[key] = est.estimate_policy_value(**kw)
        r["switch_dr"] = SwitchDoublyRobustTuning(lambdas=LAMBDAS, tuning_method="mse").estimate_policy_value_with_tuning(**kw)
        r["dros"] = DoublyRobustWithShrinkageTuning(lambdas=LAMBDAS, tuning_method="mse").estimate_policy_value_with_tuning(**kw)
        r["seconds"] = time.time() - t
        results.append(r)
    pd.concat(policies).to_csv(f"{out}/{name}_policies.csv.gz", index=False, compression={"method": "gzip", "mtime": 1})
    res = pd.DataFrame(results)
    res.to_csv(f"{out}/{name}_obp.csv", index=False, float_format="%.6f")
    keys = ["dm", "ips", "snips", "dr", "sndr", "switch_dr", "dros"]
    print(name, "truth %.3f behaviour %.3f" % (res.truth.mean(), res.behaviour.mean()),
          {k: round(float((abs(res[k] - res.truth) / res.truth).mean()), 4) for k in keys}, "%.1f s" % res.seconds.sum())

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
