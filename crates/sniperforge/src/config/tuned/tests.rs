use super::*;
use crate::config::{Config, Layers, Sources, to_toml};
use tempfile::TempDir;

fn sources(folder: &TempDir) -> Sources {
    let path = folder.path().join("a.toml");
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let text = format!(
        "[node]\nhedge_percentile = 80\nendpoints = [{{ name = 'a', http = 'http://127.0.0.1:1/' }}, \
         {{ name = 'b', http = 'http://127.0.0.1:2/' }}]\n[store]\ndata_dir = {data:?}\n"
    );
    std::fs::write(&path, text).unwrap();
    Sources { files: vec![path], variables: Vec::new() }
}

fn tuned(key: &str, value: impl Into<Value>) -> TunedFile {
    let mut file = TunedFile::default();
    let why = vec!["before 95: 12.0 ms".to_owned(), "after 50: 4.0 ms".to_owned()];
    file.set(key, TunedValue { value: value.into(), why }).unwrap();
    file
}

#[test]
fn what_is_written_is_read_between_files_and_environment_and_says_where_it_stands() {
    let folder = TempDir::new().unwrap();
    let mut sources = sources(&folder);
    let data = folder.path().join("data");
    assert_eq!(Config::load(&sources).unwrap().tuning.hedge_percentile, 80);
    let mut file = tuned("node.hedge_percentile", 50);
    let reserves = TunedValue { value: vec!["b", "gone"].into(), why: Vec::new() };
    file.set("node.reserves", reserves).unwrap();
    let path = file.write(&data).unwrap();
    let (_, _, back) = TunedFile::read(&data).unwrap().unwrap();
    assert_eq!(back, file);
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.tuning.hedge_percentile, 50);
    let placed: Vec<_> = config.node.endpoints.iter().map(|e| e.is_reserve()).collect();
    assert_eq!(placed, [false, true], "a name that is not there says nothing");
    let shown = to_toml(&Layers::read(&sources).unwrap());
    let line = shown.lines().find(|line| line.starts_with("hedge_percentile")).unwrap();
    assert!(line.contains(&format!("{}:", path.display())), "{line}");
    sources.variables.push(("SNIPERFORGE__NODE__HEDGE_PERCENTILE".to_owned(), "60".to_owned()));
    assert_eq!(Config::load(&sources).unwrap().tuning.hedge_percentile, 60);
    let left: Vec<_> = std::fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [TUNED_FILE], "nothing is left aside");
    assert!(TunedFile::remove(&data).unwrap() && !TunedFile::remove(&data).unwrap());
    sources.variables.clear();
    assert_eq!(Config::load(&sources).unwrap().tuning.hedge_percentile, 80);
}

#[test]
fn no_setting_but_those_in_the_list_can_be_written_or_read() {
    let folder = TempDir::new().unwrap();
    let sources = sources(&folder);
    let path = folder.path().join("data").join(TUNED_FILE);
    let every = Layers::read_untuned(&sources).unwrap().flattened();
    assert!(every.len() > 60 && TUNABLE.iter().all(|key| every.iter().any(|(k, ..)| k == key)));
    for (key, value, _) in every.iter().filter(|(key, ..)| !is_tunable(key)) {
        let value: Value = serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap();
        let mut file = TunedFile::default();
        let set = file.set(key, TunedValue { value: value.clone(), why: Vec::new() });
        assert!(matches!(set, Err(TunedError::Forbidden(_))), "{key}");
        let (table, name) = key.rsplit_once('.').unwrap();
        let text = format!("{FIRST_LINE}\n[{table}]\n{name} = {value}\n{LAST_LINE}\n");
        std::fs::write(&path, &text).unwrap();
        let error = Config::load(&sources).unwrap_err();
        let is_told = matches!(
            &error,
            ConfigError::Tuned { problem: TunedError::Forbidden(told), .. } if key.starts_with(told.as_str())
        );
        assert!(is_told, "{key}: {error}");
        assert!(tuned("node.reserves", vec!["a"]).write(path.parent().unwrap()).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "not replaced");
    }
    let sections =
        ["risk", "trading", "strategies", "operator", "wallet", "jito", "jupiter", "sim"];
    for key in TUNABLE {
        let section = key.split('.').next().unwrap();
        assert!(!sections.contains(&section), "{key} decides what is traded or risked");
    }
}

#[test]
fn a_foreign_or_damaged_file_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let sources = sources(&folder);
    let data = folder.path().join("data");
    let path = data.join(TUNED_FILE);
    let whole = tuned("node.hedge_percentile", 50).text();
    let cut = whole.get(..whole.len() - 40).unwrap();
    let broken = whole.replace("hedge_percentile = 50", "hedge_percentile = ");
    let wrong = whole.replace("= 50", "= 'https://node/hunter2'");
    for (text, words, is_ours) in [
        ("[node]\nhedge_percentile = 50\n".to_owned(), "not written by", false),
        (String::new(), "not written by", false),
        (cut.to_owned(), "damaged", true),
        (broken, "damaged", true),
        (wrong, "damaged", true),
    ] {
        std::fs::write(&path, &text).unwrap();
        let told = Config::load(&sources).unwrap_err().to_string();
        assert!(told.contains(words) && told.contains("tuned.toml"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert!(tuned("node.hedge_percentile", 60).write(&data).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(TunedFile::remove(&data).is_ok(), is_ours);
        assert_eq!(path.exists(), !is_ours);
        std::fs::remove_file(&path).ok();
    }
    std::fs::write(&path, [0xff, 0xfe, 0]).unwrap();
    assert!(Config::load(&sources).unwrap_err().to_string().contains("not written by"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(Config::load(&sources).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn a_value_out_of_its_range_is_told_with_its_line() {
    let folder = TempDir::new().unwrap();
    let sources = sources(&folder);
    tuned("node.hedge_percentile", 150).write(&folder.path().join("data")).unwrap();
    let told = Config::load(&sources).unwrap_err().to_string();
    assert!(told.contains("tuned.toml:7: node.hedge_percentile is 150"), "{told}");
}
