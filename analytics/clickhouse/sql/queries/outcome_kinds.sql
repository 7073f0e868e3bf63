SELECT DISTINCT cityHash64(kind), toString(kind) FROM outcomes WHERE {{.Account}}
