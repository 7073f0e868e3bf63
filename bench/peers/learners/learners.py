"""What others learn from a fixed log whose truth is known: per seed the first half of the log is learned in one pass, the
second half gives the exact value of the greedy policy. Writes SET_learners.csv (seed, vw, ipw_learner).
Usage: learners.py TABLE.csv.gz POLICIES.csv.gz OUT.csv
"""
import csv, gzip, sys
import numpy as np
from sklearn.linear_model import LogisticRegression
import vowpalwabbit

SHARE = 0.4  # of the behaviour's classifier; the rest is drawn evenly

def read(path):
    with gzip.open(path, "rt") as f:
        rows = list(csv.reader(f))
    return rows[0], rows[1:]

def vw_value(X, y, action, reward, p, half, k):
    vw = vowpalwabbit.Workspace(f"--cb {k} --cb_type dr --quiet -b 22")
    line = lambda x: "| " + " ".join(f"f{i}:{v:.5g}" for i, v in enumerate(x) if v)
    for i in range(half):
        vw.learn(f"{action[i] + 1}:{-reward[i]}:{p[i]:.6g} {line(X[i])}")
    hit = sum(vw.predict(line(X[i])) == y[i] + 1 for i in range(half, len(y)))
    vw.finish()
    return hit / (len(y) - half)

def main(table, policies, out):
    _, rows = read(table)
    labels = sorted({r[0] for r in rows})
    y = np.array([labels.index(r[0]) for r in rows])
    X = np.array([[float(v) for v in r[1:]] for r in rows])
    X = (X - X.min(0)) / np.maximum(X.max(0) - X.min(0), 1e-12)
    k = len(labels)
    log = np.array([[int(v) for v in r] for r in read(policies)[1]])
    with open(out, "w") as f:
        f.write("seed,vw,ipw_learner\n")
        for seed in sorted(set(log[:, 0])):
            part = log[log[:, 0] == seed]
            row, behaviour, action = part[:, 1], part[:, 2], part[:, 4]
            p = (1 - SHARE) / k + SHARE * (behaviour == action)
            reward = (action == y[row]).astype(float)
            half = len(row) // 2
            model = LogisticRegression(max_iter=1000)
            won = np.flatnonzero(reward[:half])
            model.fit(X[row[won]], action[won], sample_weight=1 / p[won])
            ipw = (model.predict(X[row[half:]]) == y[row[half:]]).mean()
            f.write(f"{seed},{vw_value(X[row], y[row], action, reward, p, half, k):.6f},{ipw:.6f}\n")

if __name__ == "__main__":
    main(*sys.argv[1:])
