//! Tables as people have them, against pandas and scikit-learn, and malformed ones.

use neural::data::table::{Column, ColumnKind, Features, Kind, Layout, Missing, Table, Unknown};
use neural::data::{self, Dataset, Scale, Source, TargetKind, Targets, Task};
use neural::recipe::{Recipe, suggest};
use neural::{Array, Result};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

fn here() -> &'static Path {
    Path::new("file")
}

/// The message of an error, which must hold all of `parts`.
#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert!(!message.contains('\n'), "{message:?} is more than a line");
}

fn parse(text: &str) -> Result<Table> {
    Table::parse(here(), text.as_bytes(), &Layout::default())
}

fn load_for(text: &str, settings: &str, task: Option<Task>) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.txt");
    std::fs::write(&path, text).unwrap();
    let source: Source = toml::from_str(&format!("format = 'table'\npath = ''\n{settings}"))
        .map_err(|e| neural::Error::value("settings", "TOML", e.message()))?;
    Source { path, ..source }.load_for(task)
}

fn load(text: &str, settings: &str) -> Result<Dataset> {
    load_for(text, settings, None)
}

fn columns(table: &Table, target: &str, missing: Missing, train: &[u32]) -> Result<Vec<Column>> {
    Ok(table.features(target, &Features { missing, ..Features::default() }, train)?.0)
}

fn values(values: &[f64]) -> Targets {
    Targets::Values(Array::new(&[values.len(), 1], values.to_vec()).unwrap())
}

#[track_caller]
fn close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= 2e-6 * expected.abs().max(1.0),
            "{what}, number {i}: {got} for {expected}"
        );
    }
}

/// The features in f64, with the offsets added again that were subtracted before rounding.
fn features(data: &Dataset) -> Vec<f64> {
    let mut offsets = Vec::new();
    for column in &data.columns {
        offsets.resize(offsets.len() + column.features().len(), 0.0);
        if let ColumnKind::Number { offset, .. } | ColumnKind::Date { offset, .. } = column.kind {
            let first = offsets.len() - column.features().len();
            offsets[first] = offset;
        }
    }
    data.inputs.to_f64().iter().enumerate().map(|(i, x)| x + offsets[i % offsets.len()]).collect()
}

/// The cases of tests/golden/tables.py.
#[test]
fn tables_are_read_as_pandas_and_scikit_learn_do() {
    let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!("golden/tables.json")).unwrap();
    let numbers = |value: &serde_json::Value| {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>()
    };
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let task = match case["task"].as_str() {
            Some("classes") => Some(Task::Classes),
            Some("values") => Some(Task::Values),
            _ => None,
        };
        let data = load_for(case["text"].as_str().unwrap(), case["settings"].as_str().unwrap(), task)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: Vec<f64> = case["features"].as_array().unwrap().iter().flat_map(numbers).collect();
        if case["scaled"] == true {
            // As the model computes it, in f32.
            let (mean, deviation) =
                (data.scaling.mean.to_f64()[0] as f32, data.scaling.deviation.to_f64()[0] as f32);
            let scaled: Vec<f64> = data
                .inputs
                .to_vec::<f32>()
                .unwrap()
                .iter()
                .map(|x| f64::from((x - mean) / deviation))
                .collect();
            close(name, &scaled, &expected);
        } else {
            close(name, &features(&data), &expected);
        }
        if case["targets"].is_array() {
            let targets = numbers(&case["targets"]);
            match &data.targets {
                Targets::Classes { labels, names } => {
                    let expected: Vec<&str> =
                        case["classes"].as_array().expect(name).iter().map(|x| x.as_str().unwrap()).collect();
                    assert_eq!(names, &expected, "{name}");
                    assert_eq!(
                        labels.iter().map(|&label| f64::from(label)).collect::<Vec<_>>(),
                        targets,
                        "{name}"
                    );
                }
                Targets::Values(values) => assert_eq!(values.to_f64(), targets, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

const POLICE: &str = "Reservations  Temperature   Tourists  Police\n\
    13            26            9         1\n\
    2             14            6         0\n\
    14            20            3         1\n\n\n\
    reservations = [13, 2, 14]\n\
    four words, no numbers\n";

#[test]
fn columns_between_white_space_with_notes_below() {
    let data = load(POLICE, "").unwrap();
    assert_eq!(data.inputs, Array::new(&[3, 3], vec![13f32, 26., 9., 2., 14., 6., 14., 20., 3.]).unwrap());
    let names = vec!["0".to_string(), "1".to_string()];
    assert_eq!(data.targets, Targets::Classes { labels: vec![1, 0, 1], names });
    assert_eq!(data.splits.train, [0, 1, 2]);
    let value = load(POLICE, "target = 'Tourists'\nignore = ['Police']").unwrap();
    assert_eq!(value.targets, values(&[9., 6., 3.]));
    assert_eq!(value.feature_names(), ["Reservations", "Temperature"]);
    refused(parse(&POLICE.replace("reservations =", "1 2 3 4\n")), &["blank line", "line 7"]);
}

#[test]
fn quotes_semicolons_tabs_and_a_byte_order_mark() {
    let table = parse("\u{feff}\"a;b\" ; c\r\n\"1\";2\r\n\r\n3;\"x\ny\"\r\n4;5\r\n").unwrap();
    assert_eq!((table.header(), table.rows()), (&["a;b".to_string(), "c".to_string()][..], 3));
    assert_eq!((table.text(1, "c").unwrap(), table.line(1), table.line(2)), ("x\ny".into(), 4, 6));
    let table = parse("a\tb c\n1\t2\n").unwrap();
    assert_eq!(table.header(), ["a", "b c"]);
    assert_eq!(parse("a|b\n1|2").unwrap().header(), ["a", "b"]);
    assert_eq!(parse("a,b\r1,2\r3,4\r").unwrap().rows(), 2);
    // More decimal commas than semicolons.
    let data = load("a;b;y\n1,5;2,5;3,5\n4,5;5,5;6,25\n", "").unwrap();
    assert_eq!((data.inputs.to_f64(), data.targets), (vec![1.5, 2.5, 4.5, 5.5], values(&[3.5, 6.25])));
}

const MIXED: &str = "size,color,kind,weight\n1,red,1,10\n,blue,2,20\n3,?,1,30\n5,red,3,60\n";

#[test]
fn categories_and_filled_values() {
    let data = load(MIXED, "missing = 'mean'\ncategorical = ['kind']").unwrap();
    let names = ["size", "color=blue", "color=red", "color (missing)", "kind=1", "kind=2", "kind=3"];
    assert_eq!(data.feature_names(), names);
    #[rustfmt::skip]
    let expected = vec![
        1f32, 0., 1., 0., 1., 0., 0.,
        3.,   1., 0., 0., 0., 1., 0.,
        3.,   0., 0., 1., 1., 0., 0.,
        5.,   0., 1., 0., 0., 0., 1.,
    ];
    assert_eq!(data.inputs, Array::new(&[4, 7], expected).unwrap());
    let constant = load(MIXED, "missing = { constant = -1 }\nignore = ['color', 'kind']").unwrap();
    assert_eq!(constant.inputs.to_vec::<f32>().unwrap(), [1.0, -1.0, 3.0, 5.0]);
    let codes = load("zip,y\n01234,1\n1234,2\n01234,3\n", "categorical = ['zip']").unwrap();
    assert_eq!(codes.feature_names(), ["zip=01234", "zip=1234"]);
}

#[test]
fn what_is_fitted_is_fitted_to_the_training_rows() {
    let table = parse("a,c,b\n1,x,0\n,y,1\n3,x,0\n100,z,1\n").unwrap();
    let columns = columns(&table, "b", Missing::Mean, &[0, 1, 2]).unwrap();
    let encoded = table.try_encode(&columns).unwrap();
    assert_eq!(encoded.features.to_vec::<f32>().unwrap(), [1., 1., 0., 2., 0., 1., 3., 1., 0., 100., 0., 0.]);
    assert_eq!(encoded.unknown, [("c".to_string(), 1)]);
}

#[test]
fn other_rows_are_encoded_by_the_saved_columns() {
    let mixed = MIXED
        .replace("weight", "when,weight")
        .replace(",10\n", ",2024-01-01,10\n")
        .replace(",20\n", ",2024-03-01,20\n");
    let mixed = mixed.replace(",30\n", ",2024-02-01 12:00,30\n").replace(",60\n", ",,60\n");
    let data = load(&mixed, "missing = 'mean'").unwrap();
    let saved = toml::to_string(&BTreeMap::from([("columns", &data.columns)])).unwrap();
    let columns = toml::from_str::<BTreeMap<String, Vec<Column>>>(&saved).unwrap().remove("columns").unwrap();
    assert_eq!(columns, data.columns);
    // Columns in another order, one too many, the target not known.
    let rows = parse("color,kind,size,note,when\nblue,2,,x,2024-03-01\n").unwrap();
    let features = rows.encode(&columns).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(features, data.samples(&[1]).unwrap().to_vec::<f32>().unwrap());

    let old = r#"[{"name":"size","kind":"number","fill":2.0},{"name":"color","kind":"category","names":["blue"],"missing":true}]"#;
    let old: Vec<Column> = serde_json::from_str(old).unwrap();
    let rows = parse("color,size\nblue,\n?,1\ngreen,4\n").unwrap();
    assert_eq!(rows.encode(&old).unwrap().to_vec::<f32>().unwrap(), [2., 1., 1., 0., 4., 0.]);
}

#[test]
fn names_that_no_training_row_has() {
    let strange = parse("color,kind,size\nblue,2,4\ngreen,2,4\n").unwrap();
    let unknown =
        |unknown: &str| load(MIXED, &format!("missing = 'mean'\nunknown = '{unknown}'")).unwrap().columns;
    assert_eq!(
        strange.encode(&unknown("unknown")).unwrap().to_vec::<f32>().unwrap()[5..],
        [4., 0., 0., 0., 2.]
    );
    refused(
        strange.encode(&unknown("refuse")),
        &["blue, red", "line 3", "\"color\"", "\"green\"", "unknown = \"unknown\""],
    );
    let short = parse("color,kind\nred,1\n").unwrap();
    refused(short.encode(&unknown("unknown")), &["a column \"size\"", "color, kind"]);
    let flags = load("a,y\nyes,1\nno,2\nYES,3\n", "").unwrap();
    assert_eq!(parse("a,b\nNo,1\nmaybe,2\n").unwrap().encode(&flags.columns).unwrap().to_f64(), [0.0, 0.5]);
    let bad = parse("color,kind,size\nblue,2,x\nred,3,1\nblue,,\"1,5\"\n")
        .unwrap()
        .try_encode(&unknown("refuse"))
        .unwrap();
    assert_eq!(bad.refused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0, 2]);
    assert!(bad.refused[1].1.contains("line 4, column \"size\""), "{:?}", bad.refused);
}

#[test]
fn targets_are_told_or_inferred() {
    let table = parse("a,b,c,d,e\nx,no,10,0.5,007\nx,yes,9,1,7\nx,no,10,0,12\n").unwrap();
    let names = |target, kind, task| match table.targets(target, kind, task).unwrap() {
        Targets::Classes { names, labels } => (names, labels),
        other => panic!("{other:?}"),
    };
    assert_eq!(names("b", None, None), (vec!["no".into(), "yes".into()], vec![0, 1, 0]));
    let classes = (vec!["9".to_string(), "10".into()], vec![1, 0, 1]);
    assert_eq!(names("c", Some(TargetKind::Class), None), classes);
    assert_eq!(names("c", None, Some(Task::Classes)), classes);
    assert_eq!(names("c", None, Some(Task::Labels)), classes);
    let of = |target, task| table.targets(target, None, task).unwrap();
    assert_eq!(
        (of("d", None), of("d", Some(Task::Labels))),
        (values(&[0.5, 1.0, 0.0]), values(&[0.5, 1.0, 0.0]))
    );
    assert_eq!(of("c", Some(Task::Values)), values(&[10.0, 9.0, 10.0]));
    refused(table.targets("f", None, None), &["a column \"f\"", "a, b, c, d"]);
    refused(table.targets("b", Some(TargetKind::Value), None), &["a number", "line 2", "\"no\""]);
    refused(table.targets("b", None, Some(Task::Values)), &["column \"b\"", "target_kind = \"class\""]);
    refused(
        table.targets("d", None, Some(Task::Classes)),
        &["line 2, column \"d\"", "0.5", "target_kind = \"class\""],
    );
    // A target column is read as names if the loss is for classes: a code stays unchanged.
    let codes = load_for("a,y\n1,007\n2,7\n3,007\n", "", Some(Task::Classes)).unwrap();
    assert_eq!(codes.targets.names(), ["007", "7"]);
    let prices: String = (0..60).map(|i| format!("{i},{}\n", i * 1000)).collect();
    let prices = format!("a,price\n{prices}");
    refused(
        load_for(&prices, "", Some(Task::Classes)),
        &["column \"price\"", "60 different numbers", "target_kind"],
    );
    assert_eq!(load_for(&prices, "target_kind = 'class'", Some(Task::Classes)).unwrap().classes(), Some(60));
}

#[test]
fn a_header_is_told_or_asked_for() {
    let loaded = |text: &str| load(text, "").map(|data| (data.rows(), data.feature_names()[0].clone()));
    let both = |rows, name: &str| (rows, name.to_string());
    // Names above numbers, even where some are numbers themselves.
    assert_eq!(loaded("id,2001,2002\n1,5,6\n2,7,9\n").unwrap(), both(2, "id"));
    // Text that comes again, numbers with fractions, numbers that come twice.
    assert_eq!(loaded("a,x,1\nb,x,2\na,y,3\nb,x,4\n").unwrap(), both(4, "column 1=a"));
    assert_eq!(loaded("1,2.5\n3,4.5\n").unwrap(), both(2, "column 1"));
    assert_eq!(loaded("1,0,0\n3,4,5\n").unwrap(), both(2, "column 1"));
    // Names that repeat below, and never the first.
    assert_eq!(
        loaded("color,shape,y\nred,round,no\nblue,round,yes\nred,square,no\nblue,square,yes\n").unwrap(),
        both(4, "color=blue")
    );
    let note = &load("1,2.5\n3,4.5\n", "").unwrap().notes[0];
    assert!(note.contains("column 1 to column 2"), "{note}");
    refused(parse("2000,2001\n3,4\n"), &["header = true", "header = false", "2000, 2001"]);
    refused(parse("a,b\nc,d\n"), &["header = true", "header = false", "a, b"]);
    assert_eq!(load("2000,2001\n3,4\n5,7\n", "header = true").unwrap().feature_names(), ["2000"]);
    assert_eq!(
        load("2000,2001\n3,4\n5,7\n", "header = false\ntarget = 'column 1'").unwrap().feature_names(),
        ["column 2"]
    );
    assert_eq!(load("a,b\nc,no\nd,yes\n", "target = 'b'").unwrap().rows(), 2);
    // Rows without names for a model of such.
    let data = load("5.1,3.5,x\n4.9,3.0,x\n7.0,3.2,z\n", "").unwrap();
    let known = data.columns.iter().map(|column| column.name.clone()).collect();
    let layout = Layout { known, ..Layout::default() };
    let rows = Table::parse(here(), b"6,3\n", &layout).unwrap();
    assert_eq!(rows.encode(&data.columns).unwrap().to_f64(), [6.0, 3.0]);
}

#[test]
fn columns_that_are_no_features() {
    let rows: String = (0..60).map(|i| format!("A{i:04},{i},{}\n", ["yes", "no"][i % 2])).collect();
    let ids = format!("id,alpha,label\n{rows}");
    let data = load(&ids, "").unwrap();
    assert_eq!(data.feature_names(), ["alpha"]);
    assert!(
        data.notes[0].contains("column \"id\" is left out, as it holds 60 names in 60 training rows"),
        "{:?}",
        data.notes
    );
    let named = load(&ids, "id = 'id'").unwrap();
    assert_eq!((named.feature_names(), named.notes.len()), (vec!["alpha".to_string()], 0));
    assert_eq!(load(&ids, "categorical = ['id']").unwrap().sample_shape(), [61]);
    refused(load(&ids, "id = 'label'"), &["id", "the target \"label\""]);
    refused(load(&ids, "id = 'ids'"), &["a column \"ids\""]);
    let gap = load("a,b,y\n1,,1.5\n2,,2.5\n", "missing = 'mean'").unwrap();
    assert_eq!(
        (gap.feature_names(), &gap.notes[0][..]),
        (vec!["a".to_string()], "column \"b\" is left out, as it holds no value")
    );
    let many: String = (0..1200).map(|i| format!("{i},c{},{}\n", i % 300, i % 2)).collect();
    refused(load(&format!("a,b,y\n{many}"), ""), &["at most 256 names", "\"b\"", "got 300", "ignore"]);
}

#[test]
fn bad_tables() {
    refused(parse(""), &["at least one row"]);
    refused(parse("a,b\n"), &["at least one row"]);
    refused(parse("a,b,a\n1,2,3\n"), &["\"a\" twice"]);
    refused(parse("a,b\n1,2\n\n\n3\n"), &["2 cells", "line 5", "got 1"]);
    refused(parse("a,b\n1,\"x\n\"\n3,4,5\n"), &["2 cells", "line 4", "got 3"]);
    refused(parse("a b\n1 2\n3 4 5\n"), &["2 cells", "line 3", "got 3"]);
    refused(Table::parse(here(), b"a,b\n1,2\n1,\xff\n", &Layout::default()), &["UTF-8", "line 3"]);
    refused(Table::parse(here(), b"a,\xff\n1,2\n", &Layout::default()), &["UTF-8", "line 1"]);
    refused(Table::parse(here(), b"\xff\xfea\0,\0b\0\n\0", &Layout::default()), &["UTF-16"]);
    refused(Table::parse(here(), b"PK\x03\x04\x14\0", &Layout::default()), &["a workbook", "CSV"]);
    refused(Table::read("/", &Layout::default()), &["got a folder"]);
    refused(Table::read("nowhere.csv", &Layout::default()), &["cannot read nowhere.csv"]);
    let open = format!("a,kind\n1,x\n2,\"y\n{}", "3,x\n".repeat(400));
    refused(parse(&open), &["closes the one in line 3", "\"y 3,x"]);
    let long = format!("a,y\n1,1.5\n2,{}\n3,2.5\n", "x".repeat(70_000));
    let error = load(&long, "target_kind = 'value'").unwrap_err().to_string();
    assert!(error.len() < 500, "{error}");
}

#[test]
fn bad_values() {
    refused(load("a,b\n1,2\n,3\n", ""), &["a value in line 3, column \"a\"", "set missing"]);
    refused(load("a,b\n1,2\nNaN,3\n", ""), &["a value in line 3, column \"a\"", "\"NaN\""]);
    refused(load("a,b\n1,2\ninf,3\n", "missing = 'mean'"), &["a finite number", "line 3", "\"inf\""]);
    refused(load("a,b\n1,2\n1e39,3\n", ""), &["finite", "line 3"]);
    refused(load("a,b\n1,2\n2x,3\n", ""), &["a number in line 3, column \"a\"", "\"2x\"", "categorical"]);
    refused(
        load("a;b\n1,500;2\n2;3\n", ""),
        &["column \"a\"", "\"1,500\"", "thousands = \",\"", "decimal = \",\""],
    );
    refused(load("a,b\n01/02/2024,2\n03/04/2024,3\n", ""), &["column \"a\"", "dates = \"day-first\""]);
    refused(load("a,b\n1,2\n1,\n", ""), &["a target in line 3, column \"b\""]);
    refused(load("a,b\n1,yes\n2,yes\n", ""), &["at least two classes", "only \"yes\" in 2 rows"]);
    refused(load("a,b\n?,1\n?,2\n", "missing = 'mean'"), &["besides the target \"b\"", "\"a\" is left out"]);
    refused(load("a\n1\n2\n", ""), &["besides the target \"a\""]);
    refused(load("a,b\n1,2\n3,4\n", "missing = { constant = inf }"), &["missing", "finite"]);
    refused(load("a,b\n1,2\n3,4\n", "ignore = ['b']"), &["the target \"b\""]);
    refused(load("a,b\n1,2\n3,4\n", "decimal = ';'"), &["unknown variant", "`,`"]);
}

#[test]
fn what_columns_hold() {
    let table = parse("a,b,c,d,e\n1.5,2024-01-02,yes,x,\n2.5,2024-01-01,no,x,\n1.5,?,yes,7,\n").unwrap();
    let summaries = table.summaries().unwrap();
    let holds: Vec<_> = summaries.iter().map(|one| (one.holds, one.missing, one.distinct)).collect();
    assert_eq!(
        holds,
        [
            ("numbers", 0, 2),
            ("dates", 1, 2),
            ("yes or no", 0, 2),
            ("numbers and names", 0, 1),
            ("nothing", 3, 0)
        ]
    );
    assert_eq!(summaries[1].texts, ["2024-01-01", "2024-01-02"]);
}

/// More rows than are read at a time, with quotes and breaks in cells, against the same rows put together from parts.
#[test]
fn large_tables_are_read_in_parts() {
    let mut text = "n,text,when,y\n".to_string();
    let rows = 200_000;
    for i in 0..rows {
        match i % 1000 {
            0 => text += &format!("{i},\"a \"\"quoted\"\"\nline, {}\",x,{}.5\n", i % 7, i % 3),
            _ => text += &format!("{i},plain{},yy,{}.25\n", i % 5, i % 11),
        }
    }
    assert!(text.len() > 3 << 20);
    let table = parse(&text).unwrap();
    assert_eq!(table.rows(), rows);
    for row in [0usize, 1, 999, 1000, 65_000, 123_456, rows - 1] {
        assert_eq!(table.text(row, "n").unwrap(), row.to_string());
        // Each thousandth row takes one more line.
        assert_eq!(table.line(row), 2 + row + row.div_ceil(1000));
        let text = match row % 1000 {
            0 => format!("a \"quoted\"\nline, {}", row % 7),
            _ => format!("plain{}", row % 5),
        };
        assert_eq!(table.text(row, "text").unwrap(), text);
    }
    let broken = text.replace("\n123456,plain1,yy", "\n123456,plain1");
    refused(parse(&broken), &["4 cells in line 123582", "got 3"]);
}

#[test]
fn rows_of_a_run_are_read_in_its_notation() {
    let data = load("a;y\n1.234,5;1\n2.000,0;2\n-1,5;3\n", "").unwrap();
    assert_eq!(data.inputs.to_f64(), [1234.5, 2000.0, -1.5]);
    let kind = &data.columns[0].kind;
    assert!(
        matches!(kind, ColumnKind::Number { notation, .. } if notation.parse("1.234") == Some(1234.0)),
        "{kind:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, "a;y\n1.234;1\n5.000;3\n").unwrap();
    let source = Source { target_kind: Some(TargetKind::Value), ..Source::new(data::Format::Table, path) };
    assert_eq!(source.load_with(&data.columns).unwrap().inputs.to_f64(), [1234.0, 5000.0]);
}

fn any_table() -> impl Strategy<Value = (usize, Vec<f32>)> {
    (1usize..6, 1usize..20).prop_flat_map(|(width, rows)| {
        let value = prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL;
        (Just(width), prop::collection::vec(value, width * rows))
    })
}

proptest! {
    #[test]
    fn numbers_come_back_as_they_were_written((width, values) in any_table(), delimiter in "[,;\t| ]") {
        let mut text = (0..width).map(|i| format!("c{i}{delimiter}")).collect::<String>() + "target\n";
        for row in values.chunks(width) {
            row.iter().for_each(|value| text += &format!("{value:e}{delimiter}"));
            text += "1\n";
        }
        let table = parse(&text).unwrap();
        let columns = columns(&table, "target", Missing::Refuse, &[]).unwrap();
        let expected = Array::new(&[values.len() / width, width], values).unwrap();
        prop_assert_eq!(table.encode(&columns).unwrap(), expected);
    }

    #[test]
    fn no_text_panics(text in "[,;\t| \r\n\"ab1.?é:/\u{a0}-]{0,60}") {
        let layout = Layout { header: Some(true), ..Layout::default() };
        if let Ok(table) = Table::parse(here(), text.as_bytes(), &layout) {
            let last = table.header().last().unwrap().clone();
            for task in [None, Some(Task::Classes), Some(Task::Labels), Some(Task::Values)] {
                let _ = table.targets(&last, None, task);
            }
            table.summaries().unwrap();
            if let Ok((columns, _)) = table.features(&last, &Features { missing: Missing::Mean, unknown: Unknown::Refuse, ..Features::default() }, &[0]) {
                let width = columns.iter().map(|column| column.features().len()).sum::<usize>();
                if let Ok(features) = table.encode(&columns) {
                    prop_assert_eq!(features.shape(), [table.rows(), width]);
                }
            }
        }
    }

    /// Quoted cells come back with any contents, except blanks around them.
    #[test]
    fn cells_in_quotes_come_back(cells in prop::collection::vec("[a,\"\n; é]{0,6}", 1..30)) {
        let text: String = cells.iter().map(|cell| format!("\"{}\",1\n", cell.replace('"', "\"\""))).collect();
        let layout = Layout { header: Some(true), ..Layout::default() };
        let table = Table::parse(here(), format!("a,b\n{text}").as_bytes(), &layout).unwrap();
        prop_assert_eq!(table.rows(), cells.len());
        for (row, cell) in cells.iter().enumerate() {
            prop_assert_eq!(table.text(row, "a").unwrap(), cell.trim());
        }
    }
}

#[test]
fn a_gzipped_table_is_the_table() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    zipped.write_all(MIXED.as_bytes()).unwrap();
    let zipped = zipped.finish().unwrap();
    let (plain, packed) = (folder.path().join("mixed.csv"), folder.path().join("mixed.csv.gz"));
    std::fs::write(&plain, MIXED).unwrap();
    std::fs::write(&packed, &zipped).unwrap();
    let load = |path: &Path| {
        let format = data::Format::detect(path).expect("a table");
        Source { missing: Missing::Mean, ..Source::new(format, path) }.load().unwrap()
    };
    assert_eq!(load(&packed), load(&plain));
    std::fs::write(&packed, &zipped[..zipped.len() / 2]).unwrap();
    refused(Table::read(&packed, &Layout::default()), &["mixed.csv.gz"]);
}

/// Rows of many blocks lose their cells one block after the other.
#[test]
fn a_long_table_is_encoded_as_a_short_one_is() {
    let rows = 150_000;
    let text = |bad: &[usize]| {
        let mut text = String::from("a,name,y\n");
        for i in 0..rows {
            let a = if bad.contains(&i) { "1e300".to_string() } else { (i * 7 % 1000).to_string() };
            text += &format!("{a},{},{i}\n", ["red", "blue", "green"][i % 3]);
        }
        text
    };
    let data = load(&text(&[]), "").unwrap();
    let expected = |i: usize| {
        let name = |at: usize| if i % 3 == at { 1.0 } else { 0.0 };
        [(i * 7 % 1000) as f64, name(1), name(2), name(0)]
    };
    let features = data.inputs.to_f64();
    let wrong = (0..rows).find(|&i| features[4 * i..4 * i + 4] != expected(i));
    assert_eq!(wrong, None);
    refused(load(&text(&[70_001, 5, 149_999]), ""), &["finite number of f32 in line 7, column \"a\""]);
}

#[test]
fn features_that_plainly_need_scaling_are_named() {
    let text = "size,price,y\n1,250000,1\n2,99500,2\n3,150000,3\n";
    let hint = load(text, "").unwrap().unscaled().expect("a hint");
    assert!(
        hint.contains("\"price\"") && hint.contains("150500") && hint.contains("standardize-features"),
        "{hint}"
    );
    assert_eq!(load(text, "scale = 'standardize-features'").unwrap().unscaled(), None);
    assert_eq!(load("size,y\n1,1\n101,2\n", "").unwrap().unscaled(), None);
    // Only training rows count.
    let first = "validation_fraction = 0.25\nsplit = 'ordered'";
    assert_eq!(load("size,y\n1,1\n2,2\n3,1\n900,2\n", first).unwrap().unscaled(), None);
}

/// The recipe that is suggested for this table, its assumptions, and the data that it reads.
fn suggested(text: &str, settings: &str) -> Result<(Recipe, Vec<String>, Dataset)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).expect("writable");
    let source: Source =
        toml::from_str(&format!("format = 'table'\npath = '{}'\n{settings}", path.display())).expect("keys");
    let suggestion = suggest(source.clone())?;
    assert_eq!(suggestion.text(&path), suggest(source)?.text(&path), "the same data, another recipe");
    let recipe = suggestion.recipe()?;
    let loaded = recipe.load()?;
    recipe.trainer().describe(&loaded)?.declare()?;
    Ok((recipe, suggestion.assumed, loaded))
}

#[test]
fn a_suggested_recipe_fits_its_table() {
    let rows = |head: &str, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..60).map(|i| row(i) + "\n").collect();
        format!("{head}\n{rows}")
    };
    // Two of the columns number the rows, one is the target in other words, one mixes numbers with names.
    let text = rows("customer_id,row,alive,fare,deck,survived", &|i| {
        let fare = if i % 7 == 0 { String::new() } else { format!("{}.5", i * 37 % 11) };
        let deck = ["A", "B", "3"][i % 3];
        format!("{},{},{},{fare},{deck},{}", 1000 + i * 7 % 60, i + 1, ["no", "yes"][i % 2], i % 2)
    });
    let (recipe, assumed, loaded) = suggested(&text, "").expect("a recipe");
    let data = &recipe.data;
    assert_eq!(data.target.as_deref(), Some("survived"));
    assert_eq!(data.id.as_deref(), Some("customer_id"));
    assert_eq!(
        (&data.ignore[..], &data.categorical[..]),
        (&["row".into(), "alive".into()][..], &["deck".into()][..])
    );
    assert_eq!(
        (data.missing, data.scale, data.stratify),
        (Missing::Median, Scale::StandardizeFeatures, true)
    );
    assert_eq!(loaded.classes(), Some(2));
    let says = |words: &str| {
        assert!(assumed.iter().any(|sentence| sentence.contains(words)), "{words}: {assumed:#?}");
    };
    ["target: \"survived\"", "customer_id", "alive", "deck", "fare (9)", "50.0 %"].into_iter().for_each(says);

    // A value: the last column, with as many different numbers as rows.
    let (recipe, assumed, loaded) =
        suggested(&rows("a,b", &|i| format!("{},{}", i % 5, 100_000 + i * i)), "").expect("a recipe");
    assert_eq!((recipe.data.target.as_deref(), recipe.data.scale_target), (Some("b"), Scale::Standardize));
    assert_eq!(loaded.classes(), None);
    assert!(assumed[0].contains("the last column"), "{assumed:?}");

    // Given keys stay, and classes with few rows are not divided in proportion.
    let rare = rows("a,kind,b", &|i| format!("{i}.5,{},{}", if i == 7 { "rare" } else { "usual" }, i % 4));
    let (recipe, ..) =
        suggested(&rare, "target = 'kind'\nscale = 'unit'\ntest_fraction = 0.4").expect("a recipe");
    assert_eq!(
        (recipe.data.scale, recipe.data.test_fraction, recipe.data.stratify),
        (Scale::Unit, Some(0.4), false)
    );
    refused(suggested("a,b\n1,2\n3,4\n", "target = 'c'"), &["column \"c\"", "a, b"]);
    refused(suggested("a,b\n1,x\n", ""), &["at least two classes"]);
}

/// The files of tests/golden/columnar.py hold one table.
#[test]
fn every_form_of_a_table_is_read_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/columnar");
    let source: Source =
        toml::from_str("format = 'table'\npath = ''\ntarget = 'label'\nmissing = 'median'").unwrap();
    let read = |name: &str| Source { path: folder.join(name), ..source.clone() }.load();
    let expected = read("table.csv").unwrap();
    let (arrow, parquet) = (cfg!(feature = "arrow"), cfg!(feature = "parquet"));
    for (name, feature, is_read) in [
        ("table.csv.zst", "", true),
        ("polars.jsonl", "", true),
        ("pandas.jsonl", "", true),
        ("pyarrow.feather", "arrow", arrow),
        ("polars.arrow", "arrow", arrow),
        ("polars.arrows", "arrow", arrow),
        ("pyarrow.parquet", "parquet", parquet),
        ("zstd.parquet", "parquet", parquet),
        ("polars.parquet", "parquet", parquet),
        ("pandas.parquet", "parquet", parquet),
    ] {
        if !is_read {
            refused(read(name), &[name, &format!("feature `{feature}`")]);
            continue;
        }
        let data = read(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        close(name, &features(&data), &features(&expected));
        assert_eq!(data.targets, expected.targets, "{name}");
        let index = data.notes.iter().any(|note| note == "column 9 is left out, as it has no name");
        assert_eq!(index, name == "pandas.parquet", "{name}: {:?}", data.notes);
    }
}

#[test]
fn lines_of_json_that_are_no_rows_are_refused() {
    let table = parse("{\"a\": 1, \"b\": \"007\"}\n\n{\"b\": null, \"a\": 2.5}\n{\"a\": true}").unwrap();
    assert_eq!((table.header(), table.rows()), (&["a".to_string(), "b".into()][..], 3));
    assert_eq!((table.text(0, "b").unwrap(), table.text(1, "a").unwrap()), ("007".into(), "2.5".into()));
    let first = "{\"a\": 1, \"b\": 2}\n";
    for (line, parts) in [
        ("{\"a\": 1, \"b\": [2]}", &["line 2", "\"b\"", "got a list", "[data.columns]"][..]),
        ("{\"a\": 1, \"b\": {}}", &["line 2", "\"b\"", "got an object"]),
        ("{\"a\": 1, \"b\":", &["line 2", "cut off"]),
        ("a,b", &["line 2", "a JSON object"]),
        ("{\"a\": 1, \"a\": 2}", &["line 2", "\"a\" twice"]),
    ] {
        refused(parse(&format!("{first}{line}\n")), parts);
    }
    refused(parse(&(first.repeat(1001) + "{\"c\": 1}")), &["line 1002", "\"c\""]);
    refused(parse("[{\"a\": 1}]"), &["one list of objects"]);
    let tab = Layout { delimiter: Some(data::table::Delimiter::Tab), ..Layout::default() };
    refused(Table::parse(here(), first.as_bytes(), &tab), &["delimiter"]);
}

#[test]
fn damaged_files_are_refused_whatever_their_form() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/columnar");
    let parse = |bytes: &[u8]| Table::parse(here(), bytes, &Layout::default());
    for name in ["table.csv.zst", "pyarrow.parquet", "polars.parquet", "pyarrow.feather", "polars.arrows"] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        for cut in [whole.len() / 2, whole.len() - 5] {
            refused(parse(&whole[..cut]), &["file"]);
        }
        // A changed byte is an error or another value, and never the end of the process.
        for place in (8..whole.len()).step_by(97) {
            let mut changed = whole.clone();
            changed[place] ^= 0x5a;
            if let Ok(table) = parse(&changed) {
                assert!(table.rows() > 0, "{name}, byte {place}");
            }
        }
    }
}

/// The case of tests/golden/columns.py: rows to train on, and others with gaps and with names and words never seen.
#[test]
fn columns_of_every_kind_are_encoded_as_scikit_learn_does() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/columns.json")).unwrap();
    let text = |key: &str| golden[key].as_str().unwrap();
    let numbers = |key: &str| -> Vec<f64> {
        let rows = golden[key].as_array().unwrap().iter();
        rows.flat_map(|row| row.as_array().unwrap()).map(|x| x.as_f64().unwrap()).collect()
    };
    let length = &golden["length"];
    let kinds = format!(
        "[columns]\nage = {{ number = 'median' }}\ncity = 'category'\ntags = 'list'\nreview = {{ text = {{ length = {length} }} }}"
    );
    let data = load(text("train"), &kinds).unwrap();
    assert_eq!(data.input_name(), "input");
    close("features", &features(&data), &numbers("features"));
    let review = &data.more_inputs[0];
    assert_eq!((&review.name[..], review.values.to_f64()), ("review", numbers("tokens")));
    assert!(review.scaling.is_none());
    let ColumnKind::Text(vocabulary) = &data.columns[0].kind else { panic!("{:?}", data.columns) };
    let words: Vec<&str> =
        golden["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(vocabulary.tokens, words);
    // One review has eight words.
    assert!(data.notes.iter().any(|note| note.contains("one row holds more in column \"review\"")));

    let saved = serde_json::to_string(&data.columns).unwrap();
    let columns: Vec<Column> = serde_json::from_str(&saved).unwrap();
    assert_eq!(columns, data.columns);
    let encoded = parse(text("new")).unwrap().try_encode(&columns).unwrap();
    assert!(encoded.refused.is_empty(), "{:?}", encoded.refused);
    close("new features", &encoded.features.to_f64(), &numbers("new_features"));
    assert_eq!(encoded.inputs[0].1.to_f64(), numbers("new_tokens"));
    assert_eq!(encoded.unknown, [("city".to_string(), 1), ("tags".to_string(), 1)]);
    assert_eq!(encoded.cut, [("review".to_string(), 1)]);
}

#[test]
fn a_kind_has_its_own_way_with_gaps_and_strange_values() {
    let text = "size,flag,when,zip,y\n1,1,03/04/2024,007,1\n,0,,7,2\n4,,05/06/2024,,3\n";
    let kinds = "missing = 'mean'\n[columns]\nsize = { number = { missing = { constant = -1 } } }\nflag = 'boolean'\n\
        when = { date = 'day-first' }\nzip = 'category'";
    let data = load(text, kinds).unwrap();
    let names = data.feature_names();
    assert_eq!(names[..2], ["size", "flag"]);
    assert_eq!(names[names.len() - 3..], ["zip=007", "zip=7", "zip (missing)"]);
    let rows = features(&data);
    let width = names.len();
    let row = |i: usize| rows[i * width..(i + 1) * width].to_vec();
    assert_eq!(
        (row(0)[..2].to_vec(), row(1)[..2].to_vec(), row(2)[..2].to_vec()),
        (vec![1.0, 1.0], vec![-1.0, 0.0], vec![4.0, 0.5])
    );
    // 3 April and 5 June 2024, and the day between them.
    close("days", &[row(0)[2], row(1)[2], row(2)[2]], &[19816.0, 19847.5, 19879.0]);
    assert_eq!(row(2)[width - 3..], [0.0, 0.0, 1.0]);

    for (kinds, parts) in [
        ("size = 'number'\nwhen = 'number'", &["a number", "line 2", "\"when\"", "03/04/2024"][..]),
        ("size = 'boolean'", &["true, false", "line 4", "\"size\"", "\"4\""]),
        ("zip = 'date'", &["a date", "line 2", "\"zip\""]),
        ("zip = { category = { missing = 'refuse' } }", &["a value", "line 4", "\"zip\""]),
        ("zip = { list = '' }", &["separator"]),
        ("zip = { text = { vocabulary = 2 } }", &["vocabulary", "at least 3"]),
        ("zip = { text = { min_count = 9 } }", &["\"zip\"", "9 times", "min_count"]),
        ("zip = { number = { missing = { constant = inf } } }", &["missing", "finite"]),
        ("tip = 'number'", &["a column \"tip\""]),
        ("y = 'number'", &["the target \"y\""]),
        ("zip = 'categry'", &["did you mean category"]),
    ] {
        refused(load(text, &format!("dates = 'day-first'\nmissing = 'mean'\n[columns]\n{kinds}")), parts);
    }
    refused(
        load(text, "categorical = ['zip']\n[columns]\nzip = 'category'"),
        &["columns", "categorical", "\"zip\""],
    );
    let lists =
        load("l,y\na|b,1\nb,2\n,3\n", "[columns]\nl = { list = { separator = '|', unknown = 'refuse' } }");
    let lists = lists.unwrap();
    refused(
        parse("l,x\nb,1\nb | c,2\n").unwrap().encode(&lists.columns),
        &["a, b", "line 3", "\"b | c\"", "unknown"],
    );
}

#[test]
fn texts_alone_need_no_nodes_and_inputs_name_them() {
    let text = "review,size,y\ngood day,1,yes\ngood night,2,no\ngood day,3,yes\n";
    let alone = load(text, "ignore = ['size']\n[columns]\nreview = 'text'").unwrap();
    assert_eq!((alone.input_name(), alone.inputs.shape()), ("review", &[3, 2][..]));
    let inputs = "inputs = { words = ['review'], table = ['size'] }\nscale = 'standardize-features'\n";
    let named = load(text, &format!("{inputs}[columns]\nreview = 'text'")).unwrap();
    let names: Vec<_> = named.all_inputs().map(|input| (input.name, input.scaling.is_none())).collect();
    assert_eq!(names, [("table", false), ("words", true)]);
    let both = "inputs = { all = ['review', 'size'] }\n[columns]\nreview = 'text'";
    refused(load(text, both), &["\"review\"", "alone in its input"]);
}

#[test]
fn sequences_are_padded_and_scaled_by_what_is_real() {
    let text = "pulse,size,y\n60 64 68,1,no\n70;74,2,yes\n[62.5],3,no\n";
    let kinds = "scale = 'standardize-features'\n[columns]\npulse = 'sequence'";
    let data = load(text, kinds).unwrap();
    let pulse = &data.more_inputs[0];
    let padded = [60.0, 64.0, 68.0, 70.0, 74.0, f64::NAN, 62.5, f64::NAN, f64::NAN];
    let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!((&*pulse.name, pulse.values.shape()), ("pulse", &[3, 3, 1][..]));
    assert_eq!(bits(&pulse.values.to_f64()), bits(&padded));
    // NumPy: np.mean and np.std of the six numbers.
    close("mean", &pulse.scaling.mean.to_f64(), &[66.416_666_666_666_67; 3]);
    close("deviation", &pulse.scaling.deviation.to_f64(), &[4.747_075_122_875_371; 3]);

    let saved = serde_json::to_string(&data.columns).unwrap();
    let columns: Vec<Column> = serde_json::from_str(&saved).unwrap();
    assert_eq!(columns, data.columns);
    let encoded = parse("pulse,size\n1 2 3 4,1\n[],2\n").unwrap().try_encode(&columns).unwrap();
    assert_eq!(encoded.inputs[0].1.to_f64()[..3], [1.0, 2.0, 3.0]);
    assert!(encoded.inputs[0].1.to_f64()[3..].iter().all(|x| x.is_nan()));
    assert_eq!(encoded.cut, [("pulse".to_string(), 1)]);
    for cell in ["", "1 x", "[[1, 2]]", "[1, null]"] {
        let table = parse(&format!("pulse,size\n{cell:?},1\n")).unwrap();
        refused(table.encode(&columns), &["a sequence of numbers in line 2", "\"pulse\"", cell]);
    }

    let lines = "{\"walk\": [[1, 2], [3, 4]], \"tags\": [\"a\", \"b; c\"], \"y\": 1}\n\
                 {\"walk\": [[5, 6]], \"tags\": [], \"y\": 2}\n";
    let kinds = "target_kind = 'value'\n[columns]\nwalk = { sequence = 3 }\ntags = 'list'";
    let data = load(lines, kinds).unwrap();
    assert_eq!(data.feature_names(), ["tags=a", "tags=b; c"]);
    assert_eq!(features(&data), [1.0, 1.0, 0.0, 0.0]);
    let walk = &data.more_inputs[0].values;
    assert_eq!((walk.shape(), &walk.to_f64()[..4]), (&[2, 3, 2][..], &[1.0, 2.0, 3.0, 4.0][..]));
    refused(
        load("pulse,y\nfast,1\nslow,2\n", "[columns]\npulse = 'sequence'"),
        &["\"pulse\"", "fast", "line 2"],
    );
}

#[test]
fn pictures_are_read_from_the_folder_of_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("seen")).unwrap();
    for (name, gray) in [("a", 0u8), ("b", 200)] {
        image::GrayImage::from_pixel(4, 4, image::Luma([gray]))
            .save(at(&format!("seen/{name}.png")))
            .unwrap();
    }
    let source = |text: &str| {
        std::fs::write(at("table.csv"), text).unwrap();
        let kinds =
            "format = 'table'\npath = ''\n[columns]\nphoto = { picture = { size = [2, 2], color = 'gray' } }";
        let source: Source = toml::from_str(kinds).unwrap();
        Source { path: at("table.csv"), ..source }.load()
    };
    let data = source("photo,size,y\nseen/a.png,1,2.5\nseen/b.png,2,3.5\n").unwrap();
    let photo = &data.more_inputs[0].values;
    assert_eq!((photo.shape(), photo.bytes()), (&[2, 2, 2, 1][..], &[0, 0, 0, 0, 200, 200, 200, 200][..]));
    assert_eq!(data.more_inputs[0].scaling.deviation.to_f64(), [255.0]);
    refused(source("photo,size,y\nseen/a.png,1,2.5\n,2,3.5\n"), &["a picture", "line 3", "\"photo\""]);
    refused(
        source("photo,size,y\nseen/a.png,1,2.5\nseen/c.png,2,3.5\n"),
        &["line 3", "seen/c.png", "cannot read"],
    );
    refused(source("photo,size,y\nseen/a.png,1,2.5\ntable.csv,2,3.5\n"), &["line 3", "PNG or JPEG"]);
}

#[test]
fn files_of_one_form_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, text) in [
        ("part-1.csv", "a,c,y\n1,red,10\n2,blue,20\n"),
        ("part-2.csv", "c;y;a\nred;30;3\nred;40;4\n"),
        ("other.tsv", "a\tc\ty\n9\tgreen\t90\n"),
        ("_hidden.csv", "x\n1\n"),
        ("notes.md", "no table\n"),
    ] {
        std::fs::write(at(name), text).unwrap();
    }
    let source = |path: &str, more: &str| -> Result<Dataset> {
        let source: Source =
            toml::from_str(&format!("format = 'table'\npath = ''\ntarget = 'y'\n{more}")).unwrap();
        let mut source = Source { path: at(path), ..source };
        source.test = source.test.map(|test| folder.path().join(test));
        source.load()
    };
    let parts = source("part-*.csv", "").unwrap();
    assert_eq!(parts.inputs.to_f64(), [1., 0., 1., 2., 1., 0., 3., 0., 1., 4., 0., 1.]);
    assert_eq!(parts.targets, values(&[10., 20., 30., 40.]));
    assert_eq!(source(".", "").unwrap().rows(), 5);
    assert_eq!(data::Format::detect(folder.path()), Some(data::Format::Table));

    let divided = source("part-*.csv", "test = 'other.tsv'\nscale = 'unit'").unwrap();
    assert_eq!((&divided.splits.train[..], &divided.splits.test[..]), (&[0, 1, 2, 3][..], &[4][..]));
    assert_eq!((&divided.origins.train[..], &divided.origins.test[..]), ("part-*.csv", "other.tsv"));
    // Names and scales are from the training rows.
    assert_eq!(divided.feature_names(), ["a", "c=blue", "c=red"]);
    assert_eq!(divided.scaling.mean.to_f64(), [1.0, 0.0, 0.0]);
    assert!(divided.notes.iter().any(|note| note.contains("\"c\"")));
    refused(
        source("part-1.csv", "test = 'other.tsv'\ntest_fraction = 0.5"),
        &["test_fraction", "rows of its own"],
    );

    std::fs::write(at("part-3.csv"), "a,k,y\nx,red,50\n").unwrap();
    refused(source("part-*.csv", ""), &["part-3.csv", "part-1.csv", "without \"c\"", "\"k\" beside"]);
    std::fs::write(at("part-3.csv"), "a,c,y\n5,red,50\n\nx,red,50\n").unwrap();
    refused(source("part-*.csv", ""), &["line 4 of", "part-3.csv", "\"a\"", "\"x\""]);
    refused(source("none-*.csv", ""), &["none-*.csv", "pattern", "none"]);
    let text = "[data]\nformat = 'table'\ntrain = 'a.csv'\n[model]\nlayers = [{ dense = 1 }]\n[train]\nloss = 'mse'\noptimizer = 'sgd'";
    let path = |settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Recipe::with_settings(text, "r.toml".as_ref(), &settings).unwrap().data.path
    };
    assert_eq!(path(&[]), Path::new("a.csv"));
    assert_eq!(path(&["data.path=b.csv"]), Path::new("b.csv"));
    assert_eq!(path(&["data.train=b.csv"]), Path::new("b.csv"));
}

#[test]
fn databases_hold_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/columnar/sqlite.db");
    let load = |keys: &str| -> Result<Dataset> {
        let source: Source = toml::from_str(&format!("format = 'table'\npath = ''\n{keys}")).unwrap();
        Source { path: path.clone(), ..source }.load()
    };
    if !cfg!(feature = "sqlite") {
        return refused(load("table = 'rows'"), &["sqlite.db", "feature `sqlite`"]);
    }
    let keys = "target = 'label'\nmissing = 'median'\n";
    let csv = Source {
        path: path.with_file_name("table.csv"),
        ..toml::from_str(&format!("format = 'table'\npath = ''\n{keys}")).unwrap()
    };
    let expected = csv.load().unwrap();
    let data = load(&format!("table = 'rows'\n{keys}")).unwrap();
    close("rows", &features(&data), &features(&expected));
    assert_eq!(data.targets, expected.targets);
    let some = load(&format!("query = 'SELECT * FROM rows WHERE rowid <= 10'\n{keys}")).unwrap();
    assert_eq!(some.rows(), 10);
    refused(load(keys), &["table or query", "other, rows"]);
    refused(load(&format!("table = 'row'\n{keys}")), &["table", "other, rows"]);
    refused(load("query = 'DELETE FROM rows'"), &["query", "selects rows"]);
    refused(load("query = 'SELECT x FROM rows'"), &["x"]);
    refused(load("table = 'rows'\ndelimiter = 'comma'"), &["delimiter"]);
    refused(load_for("a,y\n1,2\n", "table = 'rows'", None), &["table", "a database"]);
}

#[test]
fn a_suggested_recipe_reads_texts_and_dates() {
    let words = ["good", "bad", "warm", "cold", "clean", "loud", "bright", "dark"];
    let row = |i: usize| {
        let text: Vec<&str> = (0..7).map(|k| words[(i / 3 + k * k * (i % 5 + 1)) % words.len()]).collect();
        format!("\"{} {i}\",0{}/0{}/2024,{},{}\n", text.join(" "), i % 9 + 1, i % 7 + 1, i % 13, i % 2)
    };
    let rows: String = (0..60).map(row).collect();
    let (recipe, assumed, data) = suggested(&format!("review,day,size,y\n{rows}"), "").expect("a recipe");
    let kinds: Vec<(&str, &str)> =
        recipe.data.columns.iter().map(|(name, kind)| (&name[..], kind.kind())).collect();
    assert_eq!(kinds, [("day", "date"), ("review", "text")]);
    assert!(assumed.iter().any(|one| one.contains("\"day\" begin with the day")), "{assumed:?}");
    // The embedding has as many rows as there are ids: the words but the numbers, which occur once.
    let Kind::Text(text) = &recipe.data.columns["review"] else { panic!() };
    assert_eq!(text.vocabulary, words.len() + 2);
    assert_eq!(data.all_inputs().map(|input| input.name).collect::<Vec<_>>(), ["input", "review"]);

    let alone = format!(
        "review,y\n{}",
        rows.lines()
            .map(|line| {
                let (review, y) = (line.split(',').next().unwrap(), line.rsplit(',').next().unwrap());
                format!("{review},{y}\n")
            })
            .collect::<String>()
    );
    let (recipe, ..) = suggested(&alone, "").expect("a recipe");
    assert!(recipe.model.nodes.is_empty() && recipe.data.scale == Scale::None);
}
