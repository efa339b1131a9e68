//! Matching: tables, and properties against a matcher that tries every template.

use proptest::prelude::*;

use super::{Catalogue, Collision};
use crate::contract::path::canonicalise;
use crate::contract::{
    Contract, ContractId, ContractParts, Method, MethodSet, Pairing, PathFault, PathRules, Terms,
};

fn contract(id: &str, endpoint: &str, path_rules: PathRules) -> Contract {
    let (methods, _) = endpoint.split_once(' ').unwrap();
    let methods = methods
        .split(',')
        .fold(MethodSet::EMPTY, |set, m| set.with(Method::from_token(m)));
    let terms = Terms {
        path_rules,
        ..Terms::default()
    };
    let id = ContractId::new(id).unwrap();
    Contract::new(ContractParts::new(id, endpoint, methods, terms))
}

fn plain(id: &str, endpoint: &str) -> Contract {
    contract(id, endpoint, PathRules::default())
}

fn catalogue(contracts: &[(&str, &str)]) -> Catalogue {
    let contracts = contracts.iter().map(|(id, endpoint)| plain(id, endpoint));
    Catalogue::build(contracts.collect()).unwrap()
}

/// `id`, `!id` for a wrong method, `?` for unknown, `~Fault` for ambiguous; by the strict view.
fn pair(catalogue: &Catalogue, method: &str, path: &str) -> String {
    let path = canonicalise(path.as_bytes());
    let path = path.as_ref().map_err(|fault| *fault);
    told(
        catalogue,
        catalogue.pair_strictly(Method::from_token(method), path),
    )
}

/// The same with the folded view: `=id` for the contract that it would reach.
fn pair_folded(catalogue: &Catalogue, method: &str, path: &[u8]) -> String {
    let canonical = canonicalise(path);
    let canonical = canonical.as_ref().map_err(|fault| *fault);
    let method = Method::from_token(method);
    told(catalogue, catalogue.pair(method, path, canonical))
}

fn told(catalogue: &Catalogue, pairing: Pairing) -> String {
    let id = |contract| catalogue.get(contract).id().as_str();
    match pairing {
        Pairing::Contracted(contract) => id(contract).to_owned(),
        Pairing::MethodNotAllowed(contract) => format!("!{}", id(contract)),
        Pairing::Unknown => "?".to_owned(),
        Pairing::Ambiguous(fault) => format!("~{fault:?}"),
        Pairing::Alias {
            contract, fault, ..
        } => match fault {
            Some(fault) => format!("~{fault:?}={}", id(contract)),
            None => format!("?={}", id(contract)),
        },
    }
}

#[test]
fn another_spelling_of_a_contract_is_its_alias() {
    // R020
    let catalogue = catalogue(&[
        ("list", "GET /orders"),
        ("one", "GET,PUT /orders/{id}"),
        ("items", "GET /orders/{id}/items"),
        ("report", "GET /Reports/Daily"),
        ("dir", "GET /static/"),
    ]);
    for (path, expected) in [
        ("/orders", "list"),
        ("/orders/7", "one"),
        ("/orders/A", "one"),
        ("/orders/a;b=1", "one"),
        ("/orders/a.", "one"),
        ("/orders/", "?=list"),
        ("/Orders", "?=list"),
        ("/orders.", "?=list"),
        ("/orders;v=1", "?=list"),
        ("/orders%20", "?=list"),
        ("/orders/7/", "?=one"),
        ("/ORDERS/7", "?=one"),
        ("/orders;v=1/7", "?=one"),
        ("/orders/7/ITEMS", "?=items"),
        ("/reports/daily", "?=report"),
        ("/Reports/daily", "?=report"),
        ("/static", "?=dir"),
        ("/static//", "~EmptySegment=dir"),
        ("//orders", "~EmptySegment=list"),
        ("/x/../orders", "~DotSegment=list"),
        ("/orders/..", "~DotSegment=one"),
        ("/orders/x%2F..", "~DotSegment=list"),
        ("/orders/a%2Fb", "~EncodedSlash=one"),
        ("/orders/7%2Fitems", "~EncodedSlash=items"),
        ("/orders%2f7", "~EncodedSlash=one"),
        ("/orders\\7", "~Backslash=one"),
        ("/orders%5c7", "~Backslash=one"),
        ("/orders%0a", "~ControlByte=list"),
        ("/orders%00.png", "~ControlByte=list"),
        ("/%256frders", "~DoubleEncoding=list"),
        ("/%u006frders", "~IncompleteEscape=list"),
        ("/orders%c0%af7", "~NotUtf8=one"),
        ("/orders#x", "~Fragment=list"),
        ("/orders/;x", "~BareParameters=list"),
        ("/other", "?"),
        ("/other/", "?"),
        ("/other/../x", "~DotSegment"),
    ] {
        assert_eq!(
            pair_folded(&catalogue, "GET", path.as_bytes()),
            expected,
            "{path}"
        );
    }
    assert_eq!(pair_folded(&catalogue, "BREW", b"/Orders/7"), "?=one");
    assert_eq!(
        pair_folded(&catalogue, "GET", b"/orders\xff"),
        "~RawHighByte"
    );
    assert!(size_of::<Pairing>() <= 8, "it is handed over in a register");
}

#[test]
fn a_path_that_a_looser_reading_gives_to_a_more_exact_contract_is_no_contracts() {
    // R020
    let mut contracts = vec![
        plain("one", "GET /orders/{id}"),
        plain("special", "GET /orders/special"),
        plain("rest", "GET /api/{*rest}"),
        plain("login", "POST /api/login"),
        plain("docs", "GET /api/docs/"),
    ];
    let slash = PathRules {
        allow_encoded_slash: true,
        ..PathRules::default()
    };
    contracts.push(contract("project", "GET /projects/{id}", slash));
    contracts.push(contract("issues", "GET /projects/{id}/issues", slash));
    let catalogue = Catalogue::build(contracts).unwrap();
    for (path, expected) in [
        ("/orders/special", "special"),
        ("/orders/7", "one"),
        ("/orders/Seven", "one"),
        ("/orders/Special", "~TwoReadings=special"),
        ("/orders/special;v=1", "~TwoReadings=special"),
        ("/orders/special.", "~TwoReadings=special"),
        ("/orders/special%20", "~TwoReadings=special"),
        ("/api/login", "!login"),
        ("/api/login/", "~TwoReadings=login"),
        ("/api/LOGIN", "~TwoReadings=login"),
        ("/api/logins/", "rest"),
        ("/api/Any/Thing", "rest"),
        // Both spellings are agreed upon.
        ("/api/docs/", "docs"),
        ("/projects/a%2Fissues", "project"),
        ("/projects/a%2Fb", "project"),
        ("/projects/a%2Fb/issues", "issues"),
    ] {
        assert_eq!(
            pair_folded(&catalogue, "GET", path.as_bytes()),
            expected,
            "{path}"
        );
    }
}

#[test]
fn contracts_that_differ_by_case_alone_keep_their_paths() {
    let catalogue = catalogue(&[
        ("upper", "GET /A/{x}"),
        ("lower", "GET /a/{x}"),
        ("me", "GET /a/me"),
    ]);
    for (path, expected) in [
        ("/A/1", "upper"),
        ("/a/1", "lower"),
        ("/a/me", "me"),
        ("/a/ME", "~TwoReadings=me"),
        ("/A/me", "~TwoReadings=me"),
    ] {
        assert_eq!(
            pair_folded(&catalogue, "GET", path.as_bytes()),
            expected,
            "{path}"
        );
    }
}

#[test]
fn a_literal_beats_a_parameter_at_every_level() {
    // R006, R008
    let catalogue = catalogue(&[
        ("abd", "GET /a/b/d"),
        ("axc", "GET /a/{x}/c"),
        ("ax", "GET /a/{x}"),
        ("ab", "GET /a/b"),
        ("yz", "GET /{y}/z"),
        ("rest", "GET /a/{*rest}"),
        ("root", "GET /"),
        ("slash", "GET /a/b/"),
    ]);
    for (path, expected) in [
        ("/a/b/d", "abd"),
        ("/a/b/c", "axc"),
        ("/a/q/c", "axc"),
        ("/a/b", "ab"),
        ("/a/q", "ax"),
        ("/a/z", "ax"),
        ("/b/z", "yz"),
        ("/a/b/", "slash"),
        ("/a/q/", "rest"),
        ("/a/q/c/", "rest"),
        ("/a/b/d/e", "rest"),
        ("/a/", "?"),
        ("/a", "?"),
        ("/", "root"),
        ("/A/b", "?"),
        ("/%61/%62", "ab"),
        ("/a/../b", "~DotSegment"),
        ("/a//b", "~EmptySegment"),
        ("/a/b%2Fd", "~EncodedSlash"),
        ("/none%2F", "~EncodedSlash"),
    ] {
        assert_eq!(pair(&catalogue, "GET", path), expected, "{path}");
    }
}

#[test]
fn a_dot_is_a_dot() {
    // R007
    let catalogue = catalogue(&[("dot", "GET /a.b")]);
    assert_eq!(pair(&catalogue, "GET", "/a.b"), "dot");
    assert_eq!(pair(&catalogue, "GET", "/aXb"), "?");
}

#[test]
fn the_path_comes_first_and_the_method_second() {
    // R012
    let catalogue = catalogue(&[
        ("c_delete", "DELETE /a/{id}"),
        ("a_read", "GET,HEAD /a/{name}"),
        ("b_write", "PUT /a/{x}"),
        ("literal", "POST /a/me"),
    ]);
    for (method, path, expected) in [
        ("GET", "/a/1", "a_read"),
        ("HEAD", "/a/1", "a_read"),
        ("PUT", "/a/1", "b_write"),
        ("DELETE", "/a/1", "c_delete"),
        ("PATCH", "/a/1", "!a_read"),
        ("BREW", "/a/1", "!a_read"),
        ("get", "/a/1", "!a_read"),
        ("GET", "/a/me", "!literal"),
        ("PATCH", "/b", "?"),
    ] {
        assert_eq!(pair(&catalogue, method, path), expected, "{method} {path}");
    }
    let read = catalogue.find("a_read").unwrap();
    let allow: Vec<&str> = catalogue
        .allowed_methods(read)
        .iter()
        .map(Method::as_str)
        .collect();
    assert_eq!(allow, ["GET", "HEAD", "PUT", "DELETE"]);
}

#[test]
fn contracts_that_claim_the_same_are_all_named() {
    // R008
    let contracts = vec![
        plain("one", "GET /a/{x}"),
        plain("two", "GET,PUT /a/{y}"),
        plain("three", "PUT /a/{z}"),
        plain("one", "GET /b"),
        plain("four", "GET /a/{x}/{*r}"),
        plain("five", "GET /a/{x}/{*s}"),
    ];
    let get = MethodSet::EMPTY.with(Method::Get);
    let put = MethodSet::EMPTY.with(Method::Put);
    let route = |first, second, methods| Collision::SameRoute {
        first,
        second,
        methods,
    };
    assert_eq!(
        Catalogue::build(contracts).unwrap_err(),
        vec![
            route(0, 1, get),
            route(1, 2, put),
            Collision::SameId {
                first: 0,
                second: 3
            },
            route(4, 5, get),
        ]
    );
}

#[test]
fn the_contract_decides_about_slashes() {
    let encoded = PathRules {
        allow_encoded_slash: true,
        merge_slashes: false,
    };
    let merge = PathRules {
        allow_encoded_slash: false,
        merge_slashes: true,
    };
    let both = PathRules {
        allow_encoded_slash: true,
        merge_slashes: true,
    };
    let catalogue = Catalogue::build(vec![
        contract("encoded", "GET /e/{x}", encoded),
        contract("merge", "GET /m/{x}", merge),
        contract("both", "GET /b/{x}", both),
        plain("strict", "GET /s/{x}"),
    ])
    .unwrap();
    for (path, expected) in [
        ("/e/a%2fb", "encoded"),
        ("/e//a", "~EmptySegment"),
        ("/m//a", "merge"),
        ("//m/a", "merge"),
        ("/m/a%2Fb", "~EncodedSlash"),
        ("/m//a%2Fb", "~EncodedSlash"),
        ("/b//a%2Fb", "both"),
        ("/s//a", "~EmptySegment"),
        ("/none//a", "~EmptySegment"),
    ] {
        assert_eq!(pair(&catalogue, "GET", path), expected, "{path}");
    }
    let path = canonicalise(b"/b//a%2fb").unwrap();
    let pairing = catalogue.pair_strictly(Method::Get, Ok(&path));
    assert_eq!(catalogue.forward(pairing, &path), "/b/a%2Fb");
    let both = catalogue.find("both").unwrap();
    let expected = vec![("x".to_owned(), "a%2Fb".to_owned())];
    assert_eq!(catalogue.parameters(both, &path), expected);
    let fault = PathFault::NotUtf8;
    let pairing = catalogue.pair_strictly(Method::Get, Err(fault));
    assert_eq!(pairing, Pairing::Ambiguous(fault));
}

/// Tries every template on the path, and takes the best by literal, parameter, catch-all.
fn oracle<'a>(templates: &'a [String], path: &str) -> Option<&'a str> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let mut best: Option<(Vec<u8>, &str)> = None;
    for template in templates {
        let segments: Vec<&str> = template.split('/').skip(1).collect();
        let mut rank = Vec::new();
        let mut matches = true;
        for (position, segment) in segments.iter().enumerate() {
            let rest = parts.get(position..).unwrap_or(&[]).join("/");
            let part = parts.get(position);
            if segment.starts_with("{*") {
                matches &= !rest.is_empty();
                rank.push(2);
            } else if segment.starts_with('{') {
                matches &= part.is_some_and(|part| !part.is_empty());
                rank.push(1);
            } else {
                matches &= part == Some(segment);
                rank.push(0);
            }
        }
        let open_end = template.contains("{*");
        matches &= open_end || segments.len() == parts.len();
        if matches && best.as_ref().is_none_or(|(other, _)| rank < *other) {
            best = Some((rank, template));
        }
    }
    best.map(|(_, template)| template)
}

fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => "[ab]".prop_map(|s| s),
        1 => "[ab]{22,27}".prop_map(|s| s),
        2 => Just("{p}".to_owned()),
    ];
    let segments = proptest::collection::vec(segment, 1..5);
    let end = prop_oneof![4 => Just(""), 1 => Just("/"), 1 => Just("/{*rest}")];
    (segments, end).prop_map(|(segments, end)| {
        let numbered = segments.iter().enumerate().map(|(n, segment)| {
            let named = segment.replace("{p}", &format!("{{p{n}}}"));
            format!("/{named}")
        });
        numbered.collect::<String>() + end
    })
}

fn path() -> impl Strategy<Value = String> {
    ("(/[abc]){0,5}/?", proptest::bool::ANY).prop_map(|(path, _)| {
        if path.is_empty() {
            "/".to_owned()
        } else {
            path
        }
    })
}

proptest! {
    #[test]
    fn the_index_agrees_with_trying_every_template(
        templates in proptest::collection::btree_set(template(), 1..24),
        paths in proptest::collection::vec(path(), 1..40),
        seed in 0_usize..1_000,
    ) {
        // R007
        let templates: Vec<String> = templates.into_iter().collect();
        let contracts: Vec<Contract> = templates
            .iter()
            .enumerate()
            .map(|(n, t)| plain(&format!("c{n}"), &format!("GET {t}")))
            .collect();
        let mut shuffled = contracts.clone();
        shuffled.rotate_left(seed % contracts.len());
        if seed % 2 == 0 {
            shuffled.reverse();
        }
        let catalogue = Catalogue::build(contracts).unwrap();
        let shuffled = Catalogue::build(shuffled).unwrap();
        for path in paths.iter().chain(&templates) {
            let path = path.replace(['{', '}', '*'], "x");
            let got = pair(&catalogue, "GET", &path);
            prop_assert_eq!(&got, &pair(&shuffled, "GET", &path));
            if got.starts_with('~') {
                continue;
            }
            let id = catalogue.find(&got);
            let matched = id.map(|id| catalogue.get(id).template());
            prop_assert_eq!(matched, oracle(&templates, &path), "{}", path);
        }
    }
}
