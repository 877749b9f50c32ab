//! Says which recordings a path holds, and in which format each is. Looks at content, not at names.
//!
//! Start at [`look_among`]; [`Spooled`] makes a recording on standard input one that can be read
//! twice.

use crate::{
    error::ReadError,
    importer::{Dataset, Format, Importer},
    input::{Input, has_lines},
    likeness, mend, spool,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// Says what is looked at before a format is given up.
const LOOK_LINES_MAX: usize = 200;
const LOOK_BYTES_MAX: u64 = 8 << 20;
/// Says how deep below a folder that was named recordings are looked for.
const FOLDERS_DEPTH_MAX: usize = 5;

/// The formats that are tried, in this order.
pub type Importers<'a> = &'a [&'static dyn Importer];

/// Says what was found, and what was not.
#[derive(Debug, Default)]
pub struct Found {
    /// The recordings, in order of the paths and of names.
    pub datasets: Vec<Dataset>,
    /// Why a path that was named is left out, for each that is.
    pub failed: Vec<ReadError>,
    /// Why what stands in a folder that was named is passed over, for each that is.
    pub passed: Vec<ReadError>,
}

/// Finds the recordings in `paths`: a file, a file with the folder of the same stem beside it, a
/// folder of either, or a pipe, which is read to its end. With `format` given, nothing is guessed.
///
/// Links are followed, each folder once. A path that holds nothing stops no other.
#[must_use]
pub fn look_among(importers: Importers<'_>, paths: &[PathBuf], format: Option<Format>) -> Found {
    let mut finder = Finder { importers, format, seen: BTreeSet::new(), found: Found::default() };
    for path in paths {
        if let Err(error) = finder.path(path) {
            finder.found.failed.push(error);
        }
    }
    finder.once();
    finder.found
}

/// The same, where a path that holds nothing is an error.
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
    let mut found = look_among(importers, paths, format);
    if found.failed.is_empty() { Ok(found.datasets) } else { Err(found.failed.remove(0)) }
}

/// A recording that came through a pipe, kept in a temporary file so that it can be read twice.
#[derive(Debug)]
pub struct Spooled {
    input: Input,
}

impl Spooled {
    /// Copies `from` to its end, unpacked. The file goes when this value is dropped.
    ///
    /// # Errors
    /// What the pipe or the file system said.
    pub fn new(from: impl Read) -> io::Result<Self> {
        Ok(Self {
            input: Input::piped(spool::copy(from, spool::UNPACKED_BYTES_MAX)?, "-".to_owned()),
        })
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
        let format = format.map_or_else(|| recognise(importers, &self.input), Ok)?;
        Ok(Dataset { format, inputs: vec![self.input.clone()] })
    }
}

/// The format of a file, by what its first records hold.
fn recognise(importers: Importers<'_>, input: &Input) -> Result<Format, ReadError> {
    let file = File::open(&input.path).map_err(ReadError::io(&input.at))?;
    let mut reader = BufReader::new(file.take(LOOK_BYTES_MAX));
    let mut line = Vec::new();
    let mut look_alike = None;
    for _ in 0..LOOK_LINES_MAX {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(ReadError::io(&input.at))? == 0 {
            break;
        }
        let bytes = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        let start = bytes.iter().take_while(|byte| **byte == 0).count();
        let text = mend::record(bytes.get(start..).unwrap_or_default().trim_ascii());
        if let Some(importer) = importers.iter().find(|found| found.detect(text.as_bytes())) {
            return Ok(Format(*importer));
        }
        look_alike = look_alike.or_else(|| likeness::of(&text));
    }
    Err(ReadError::Unrecognised { path: PathBuf::from(&input.shown), like: look_alike })
}

/// Says what is looked for, and what was found of it.
#[derive(Debug)]
struct Finder<'a> {
    importers: Importers<'a>,
    format: Option<Format>,
    /// Folders that were looked into, by where they really are.
    seen: BTreeSet<PathBuf>,
    found: Found,
}

impl Finder<'_> {
    fn path(&mut self, path: &Path) -> Result<(), ReadError> {
        let kind = fs::metadata(path).map_err(ReadError::io(path))?.file_type();
        if kind.is_dir() {
            return self.in_folder(path);
        }
        if !kind.is_file() {
            let pipe = File::open(path).map_err(ReadError::io(path))?;
            let copied =
                spool::copy(pipe, spool::UNPACKED_BYTES_MAX).map_err(ReadError::io(path))?;
            let input = Input::piped(copied, path.display().to_string());
            let format = self.format.map_or_else(|| recognise(self.importers, &input), Ok)?;
            self.found.datasets.push(Dataset { format, inputs: vec![input] });
            return Ok(());
        }
        let format = self.format_of(path)?;
        let own = |files: &Vec<PathBuf>| files.iter().any(|file| file == path);
        for files in format.0.gather(&[path.to_owned()]).into_iter().filter(own) {
            self.dataset(format, &files)?;
        }
        Ok(())
    }

    fn format_of(&self, path: &Path) -> Result<Format, ReadError> {
        let named = || self.importers.iter().find(|importer| importer.knows(path));
        match self.format.or_else(|| named().map(|importer| Format(*importer))) {
            Some(format) => Ok(format),
            None => recognise(self.importers, &Input::open_some(path, LOOK_BYTES_MAX)?),
        }
    }

    fn dataset(&mut self, format: Format, files: &[PathBuf]) -> Result<(), ReadError> {
        let mut inputs = Vec::new();
        for (number, file) in files.iter().enumerate() {
            match Input::open(file) {
                Ok(input) => inputs.push(input),
                Err(error) if number == 0 => return Err(error),
                Err(error) => self.found.passed.push(error),
            }
        }
        self.found.datasets.push(Dataset { format, inputs });
        Ok(())
    }

    fn in_folder(&mut self, path: &Path) -> Result<(), ReadError> {
        let real = fs::canonicalize(path).map_err(ReadError::io(path))?;
        if self.seen.contains(&real) {
            return Ok(());
        }
        let (before, known) = (self.found.datasets.len(), self.found.passed.len());
        self.folders(path, FOLDERS_DEPTH_MAX)?;
        if self.found.datasets.len() > before {
            return Ok(());
        }
        // Nothing but what looks like something else: that is what the folder holds.
        let mut said = self.found.passed.split_off(known);
        let other = |error: &ReadError| matches!(error, ReadError::Unrecognised { .. });
        let like = said.iter().position(other).map(|at| said.remove(at));
        self.found.passed.extend(said);
        let format = self.format.map_or("known", Format::as_str);
        Err(like.unwrap_or(ReadError::Nothing { path: path.to_owned(), format }))
    }

    /// The recordings in a folder and in those below it. A session's own folder belongs to it.
    fn folders(&mut self, path: &Path, levels: usize) -> Result<(), ReadError> {
        let real = fs::canonicalize(path).map_err(ReadError::io(path))?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        for importer in self.importers {
            let wanted = self.format.is_none_or(|format| format == Format(*importer));
            if let Some(main) = importer.main_of(path).filter(|_| wanted) {
                let format = Format(*importer);
                for files in importer.gather(&[main]) {
                    self.dataset(format, &files)?;
                }
                return Ok(());
            }
        }
        let mut below = Vec::new();
        let mut files: Vec<(Format, Vec<PathBuf>)> = Vec::new();
        for entry in entries(path)? {
            if let Err(error) = self.entry(&entry, &mut below, &mut files) {
                self.found.passed.push(error);
            }
        }
        for (format, files) in files {
            for files in format.0.gather(&files) {
                if let Err(error) = self.dataset(format, &files) {
                    self.found.passed.push(error);
                }
            }
        }
        if is_own_folder(path) {
            return Ok(());
        }
        for folder in below.iter().filter(|folder| !is_own_folder(folder)) {
            let deeper = match levels.checked_sub(1) {
                Some(levels) => self.folders(folder, levels),
                None => Err(ReadError::TooDeep { path: folder.clone() }),
            };
            if let Err(error) = deeper {
                self.found.passed.push(error);
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: &Path,
        below: &mut Vec<PathBuf>,
        files: &mut Vec<(Format, Vec<PathBuf>)>,
    ) -> Result<(), ReadError> {
        let lines = has_lines(path);
        let kind = match fs::metadata(path) {
            Ok(meta) => meta.file_type(),
            // What else stands in the folder, and is broken, is nobody's recording.
            Err(source) if lines => return Err(ReadError::io(path)(source)),
            Err(_) => return Ok(()),
        };
        if kind.is_dir() {
            below.push(path.to_owned());
            return Ok(());
        }
        if !lines {
            return Ok(());
        }
        if !kind.is_file() {
            return Err(ReadError::Pipe { path: path.to_owned() });
        }
        match self.format_of(path) {
            Ok(format) => match files.iter_mut().find(|(of, _)| *of == format) {
                Some((_, files)) => files.push(path.to_owned()),
                None => files.push((format, vec![path.to_owned()])),
            },
            // Other files may stand among recordings.
            Err(ReadError::Unrecognised { like: None, .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Leaves each recording once: `session*` names a session and its folder, and a file of a
    /// recording may have been named beside its main file.
    fn once(&mut self) {
        let real = |input: &Input| fs::canonicalize(&input.at).ok();
        let parts = self.found.datasets.iter().flat_map(|dataset| dataset.inputs.iter().skip(1));
        let parts: BTreeSet<PathBuf> = parts.filter_map(real).collect();
        let mut seen = BTreeSet::new();
        self.found.datasets.retain(|dataset| {
            let main = dataset.inputs.first().and_then(real);
            main.is_none_or(|main| !parts.contains(&main) && seen.insert(main))
        });
    }
}

/// Says whether a folder belongs to the file of the same name beside it.
fn is_own_folder(path: &Path) -> bool {
    [".jsonl", ".jsonl.gz", ".jsonl.zst"].iter().any(|end| with_suffix(path, end).is_file())
}

/// Says what a folder holds, in order of names.
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
