//! Which files of a folder are data, and of which format.

use std::path::{Path, PathBuf};

use crate::file_names::{ending, names_below};
use crate::folder::{self, Listing};
use crate::ignored::Ignored;
use crate::look::Look;
use crate::role::Role;
use crate::set_aside::{SetAside, Why};
use crate::{Error, Format};

/// The files of one format in one folder, sorted by path.
#[derive(Debug)]
pub(crate) struct DataFiles {
    /// Where they are: the folder, or the only file.
    pub(crate) root: PathBuf,
    /// As it was asked for, where there is no file.
    pub(crate) format: Format,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) set_aside: Vec<SetAside>,
    /// For the log.
    pub(crate) notes: Vec<String>,
}

/// What makes the format of a set where nobody says it: the first of these that is there. A table
/// by its content alone goes after what names and first bytes leave no doubt of.
const ORDER: [Look; 5] = [
    Look::Is(Format::Idx),
    Look::Is(Format::Csv),
    Look::Is(Format::RecordioProtobuf),
    Look::Table,
    Look::Is(Format::Text),
];

impl DataFiles {
    /// The files of this format; where the format is to be found out, those of the first in
    /// [`ORDER`] that is there.
    pub(crate) fn find(path: &Path, format: Format, ignored: &Ignored) -> Result<Self, Error> {
        let listing = match path.exists() {
            true => folder::files(path, ignored)?,
            false => Listing::default(),
        };
        let Listing { files, set_aside } = listing;
        let look = |file: PathBuf| Ok((Look::at(&file, format, file == path)?, file));
        let looks = files.into_iter().map(look).collect::<Result<Vec<_>, Error>>()?;
        let root = path.to_owned();
        let mut found = Self { root, format, files: Vec::new(), set_aside, notes: Vec::new() };
        let chosen = ORDER.into_iter().find(|wanted| looks.iter().any(|(look, _)| look == wanted));
        if chosen == Some(Look::Table) {
            found.check_tables(&looks)?;
        }
        for (look, file) in looks {
            found.add(file, look, chosen);
        }
        found.set_aside.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    /// Takes a file in, or sets it aside.
    fn add(&mut self, path: PathBuf, look: Look, chosen: Option<Look>) {
        let format = match chosen {
            Some(Look::Is(format)) => format,
            Some(_) => Format::Csv,
            None => self.format,
        };
        let is_table_beside_csv = look == Look::Table && format == Format::Csv;
        let why = match look {
            Look::Empty => Why::Empty,
            _ if Some(look) == chosen => {
                self.format = format;
                return self.files.push(path);
            }
            _ if is_table_beside_csv && Role::of_file(&self.root, &path).is_some() => {
                return self.files.push(path);
            }
            _ if is_table_beside_csv => Why::NotNamedAsTable,
            _ => Why::NotOfFormat(format),
        };
        self.set_aside.push(SetAside { path, why });
    }

    /// Refuses to take some files for CSV by their content where others that should be so are not:
    /// they would be missing, or a text is no table but happens to look like one.
    fn check_tables(&mut self, looks: &[(Look, PathBuf)]) -> Result<(), Error> {
        let of = |wanted: Look| {
            let files = looks.iter().filter(move |(look, _)| *look == wanted);
            files.map(|(_, file)| file).collect::<Vec<_>>()
        };
        let (tables, texts) = (of(Look::Table), of(Look::Is(Format::Text)));
        let mut others = of(Look::Unknown);
        others.retain(|other| tables.iter().any(|table| ending(table) == ending(other)));
        let is_alike = |text: &&PathBuf| tables.iter().any(|table| ending(table) == ending(text));
        if texts.len() > tables.len() || texts.iter().any(is_alike) {
            others.extend(texts);
        }
        let tables = names_below(&self.root, &tables);
        if others.is_empty() {
            let line = format!("taken for CSV by its content, not its name: {tables}");
            self.notes.push(line);
            return Ok(());
        }
        Err(Error::Unclear {
            dir: self.root.clone(),
            problem: format!(
                "of files whose names do not say what they are, some look like CSV ({tables}) and \
                 some do not ({})",
                names_below(&self.root, &others)
            ),
            hint: "name the format with --format csv or --format text, or leave out those that \
                   are no data with --ignore-files PATTERN",
        })
    }
}
