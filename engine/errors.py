"""What can go wrong, as a short tree. Every message says what came, what is accepted and what to do.

EngineError            may be shown to the visitor word for word
  SpecError            "Learning rate is 30; choose 0.0001 to 10."
  PhotosError          a folder, zip or photo that cannot be used
  DigitsError          a set of digits, a drawing or a picture of a digit that cannot be used
  AssetError           weights or data that could not be fetched or are not what they should be
  WorkerStartError     "Cannot run WORKER_PYTHON=python3.6: No such file or directory."
  RunNotFound          no such run, or a name that is no run's
    RunUnreadable      a folder in runs/ that this version cannot read
  GraphError           a frozen graph, or what is said of it, that cannot be used
  HubError             a TensorFlow Hub module that cannot be added
    NeedsSize          one that takes pictures of any size: say which
  ModelNotFound        no such model, or a key that can be none's
  ModelRefused         a model that cannot be added
  ImportRefused        a folder without curves that could be imported
  ClassifierError      the resident classifier could not answer
  AddressError         an address on the web that may not be fetched, or gave nothing
  SettingError         a value in the environment that cannot be, see settings.py
"""


class EngineError(Exception):
    """Something the visitor can read and act on."""


class SpecError(EngineError):
    pass


class PhotosError(EngineError):
    pass


class DigitsError(EngineError):
    pass


class AssetError(EngineError):
    pass


class WorkerStartError(EngineError):
    pass


class RunNotFound(EngineError):
    pass


class RunUnreadable(RunNotFound):
    pass


class ModelNotFound(EngineError):
    pass


class ModelRefused(EngineError):
    pass


class ImportRefused(EngineError):
    pass


class ClassifierError(EngineError):
    pass


class GraphError(EngineError):
    pass


class HubError(EngineError):
    pass


class NeedsSize(HubError):
    pass


class AddressError(EngineError):
    pass


class SettingError(EngineError):
    pass
