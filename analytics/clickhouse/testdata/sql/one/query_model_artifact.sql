SELECT artifact, sha256 FROM model_artifacts FINAL
WHERE account = {account:String} AND version = {version:String}
LIMIT 1;
