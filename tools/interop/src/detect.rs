//! Which recordings a path holds, and in which format each is. Looks at content, not at names.
//!
//! Start at [`find_among`]; [`Spooled`] makes a recording on standard input one that can be read
//! twice.

use crate::{
    error::ReadError,
    importer::{Dataset, Format, Importer},
    input::Input,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// What is looked at before a format is given up.
const LOOK_LINES_MAX: usize = 200;
const LOOK_BYTES_MAX: u64 = 8 << 20;
/// How deep below a folder that was named recordings are looked for.
const FOLDERS_DEPTH_MAX: usize = 3;

/// The formats that are tried, in this order.
pub type Importers<'a> = &'a [&'static dyn Importer];

/// Finds the recordings in `paths`: a file, a file with the folder of the same stem beside it, or
/// a folder of either. With `format` given, nothing is guessed.
///
/// # Errors
/// - [`ReadError::Io`] if a path cannot be read.
/// - [`ReadError::Unrecognised`] if a file that was named is in no known format.
/// - [`ReadError::Nothing`] if a folder holds no recording.
pub fn find_among(
    importers: Importers<'_>,
    paths: &[PathBuf],
    format: Option<Format>,
) -> Result<Vec<Dataset>, ReadError> {
    let finder = Finder { importers, format };
    let mut found: Vec<Dataset> = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        let datasets = if fs::metadata(path).map_err(ReadError::io(path))?.is_dir() {
            finder.in_folder(path)?
        } else {
            vec![finder.of_file(path)?]
        };
        for dataset in datasets {
            // `session*` names a session and its folder: one recording.
            let main = dataset.inputs.first().and_then(|input| fs::canonicalize(&input.path).ok());
            if main.is_none_or(|main| seen.insert(main)) {
                found.push(dataset);
            }
        }
    }
    Ok(found)
}

/// A recording that came through a pipe, kept in a temporary file so that it can be read twice.
#[derive(Debug)]
pub struct Spooled {
    file: tempfile::NamedTempFile,
}

impl Spooled {
    /// Copies `from` to its end. The file goes when this value is dropped.
    ///
    /// # Errors
    /// What the pipe or the file system said.
    pub fn new(mut from: impl Read) -> io::Result<Self> {
        let mut file = tempfile::NamedTempFile::new()?;
        io::copy(&mut from, &mut file)?;
        file.flush()?;
        Ok(Self { file })
    }

    /// The recording, called `-` in reports, in one of `importers`' formats.
    ///
    /// # Errors
    /// [`ReadError::Unrecognised`] if no format is given and none is recognised.
    pub fn dataset_among(
        &self,
        importers: Importers<'_>,
        format: Option<Format>,
    ) -> Result<Dataset, ReadError> {
        let path = self.file.path().to_owned();
        let unknown = || ReadError::Unrecognised { path: "-".into() };
        let format = match format {
            Some(format) => format,
            None => recognise(importers, &path)?.ok_or_else(unknown)?,
        };
        Ok(Dataset { format, inputs: vec![Input { path, shown: "-".to_owned() }] })
    }
}

/// The format of a file, by what its first records hold; `None` if they fit none.
fn recognise(importers: Importers<'_>, path: &Path) -> Result<Option<Format>, ReadError> {
    let file = File::open(path).map_err(ReadError::io(path))?;
    let mut reader = BufReader::new(file.take(LOOK_BYTES_MAX));
    let mut line = Vec::new();
    for _ in 0..LOOK_LINES_MAX {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(ReadError::io(path))? == 0 {
            break;
        }
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        if let Some(importer) = importers.iter().find(|importer| importer.detect(text)) {
            return Ok(Some(Format(*importer)));
        }
    }
    Ok(None)
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
struct Finder<'a> {
    importers: Importers<'a>,
    format: Option<Format>,
}

impl Finder<'_> {
    fn of_file(self, path: &Path) -> Result<Dataset, ReadError> {
        let unknown = || ReadError::Unrecognised { path: path.to_owned() };
        let format = match self.format.or_else(|| self.beside(path)) {
            Some(format) => format,
            None => recognise(self.importers, path)?.ok_or_else(unknown)?,
        };
        let files = format.0.files(path)?;
        Ok(Dataset { format, inputs: files.iter().map(|file| Input::file(file)).collect() })
    }

    /// The format of a file that means little without the main file beside it.
    fn beside(self, path: &Path) -> Option<Format> {
        let part = |importer: &&&'static dyn Importer| {
            importer.files(path).is_ok_and(|files| files.first().is_some_and(|main| main != path))
        };
        self.importers.iter().find(part).map(|importer| Format(*importer))
    }

    fn in_folder(self, path: &Path) -> Result<Vec<Dataset>, ReadError> {
        let mut found = Vec::new();
        self.folders(path, FOLDERS_DEPTH_MAX, &mut found)?;
        if found.is_empty() { Err(self.nothing(path)) } else { Ok(found) }
    }

    fn nothing(self, path: &Path) -> ReadError {
        let format = self.format.map_or("known", Format::as_str);
        ReadError::Nothing { path: path.to_owned(), format }
    }

    /// The recordings in a folder and in those below it. A session's own folder belongs to it, and
    /// links are not followed.
    fn folders(
        self,
        path: &Path,
        levels: usize,
        found: &mut Vec<Dataset>,
    ) -> Result<(), ReadError> {
        match self.directly_in(path) {
            Ok(datasets) => found.extend(datasets),
            Err(ReadError::Nothing { .. }) => {}
            Err(error) => return Err(error),
        }
        let is_session = |path: &Path| with_suffix(path, ".jsonl").is_file();
        if levels == 0 || is_session(path) {
            return Ok(());
        }
        for below in entries(path)? {
            let kind = fs::symlink_metadata(&below).map_err(ReadError::io(&below))?.file_type();
            if kind.is_dir() && !is_session(&below) {
                self.folders(&below, levels - 1, found)?;
            }
        }
        Ok(())
    }

    fn directly_in(self, path: &Path) -> Result<Vec<Dataset>, ReadError> {
        for importer in self.importers {
            let wanted = self.format.is_none_or(|format| format == Format(*importer));
            if let Some(main) = importer.main_of(path).filter(|_| wanted) {
                let whole = Self { format: Some(Format(*importer)), ..self };
                return Ok(vec![whole.of_file(&main)?]);
            }
        }
        let mut found = Vec::new();
        for file in entries(path)? {
            let json = file.extension().is_some_and(|end| end == "jsonl" || end == "json");
            if json && file.is_file() {
                match self.of_file(&file) {
                    Ok(dataset) => found.push(dataset),
                    // Other files may stand among recordings.
                    Err(ReadError::Unrecognised { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if found.is_empty() { Err(self.nothing(path)) } else { Ok(found) }
    }
}

/// What a folder holds, in order of names.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let entries = fs::read_dir(folder).map_err(ReadError::io(folder))?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(ReadError::io(folder))?;
    paths.sort();
    Ok(paths)
}

/// The path of what stands beside, under the same name with `suffix`.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    // By components, so that a path with a slash at its end names the same.
    let mut name = path.components().as_path().as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
