package evaluate

// RawOPE is RunOPE with the values that nobody may see: those of a log that cannot
// tell them, to be compared with other programs.
func RawOPE(cfg OPEConfig) (OPEResult, error) {
	e, _, about, err := estimateFile(cfg)
	if err != nil {
		return OPEResult{}, err
	}
	res := e.raw(cfg.Confidence)
	res.Model = about
	return res, nil
}
