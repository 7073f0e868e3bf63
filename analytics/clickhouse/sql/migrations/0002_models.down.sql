{{drop "model_artifacts"}}
{{drop "model_cards"}}
