SELECT
    (SELECT count() FROM decisions FINAL WHERE {all:Bool} OR account = {account:String}),
    (SELECT count() FROM outcomes FINAL WHERE {all:Bool} OR account = {account:String}),
    (SELECT count() FROM skill_states FINAL WHERE {all:Bool} OR account = {account:String}),
    (SELECT count() FROM config_log FINAL WHERE {all:Bool} OR account = {account:String}),
    (SELECT count() FROM dead_letters FINAL WHERE {all:Bool} OR account = {account:String});
