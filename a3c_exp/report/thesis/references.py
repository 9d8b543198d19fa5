"""BibTeX entries of what runs used, and by which the report judges them."""

from collections.abc import Iterable, Iterator

from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.config_values import select
from a3c_exp.runs.tolerant_io import mapping

_ENTRIES = {
    "mnih2016": """@inproceedings{mnih2016,
  author = {Mnih, Volodymyr and Badia, Adri{\\`a} Puigdom{\\`e}nech and Mirza, Mehdi and Graves, Alex and Lillicrap, Timothy P.
            and Harley, Tim and Silver, David and Kavukcuoglu, Koray},
  title = {Asynchronous Methods for Deep Reinforcement Learning},
  booktitle = {Proceedings of the 33rd International Conference on Machine Learning},
  series = {Proceedings of Machine Learning Research},
  volume = {48},
  pages = {1928--1937},
  year = {2016},
  note = {arXiv:1602.01783}
}""",
    "recht2011": """@inproceedings{recht2011,
  author = {Recht, Benjamin and R{\\'e}, Christopher and Wright, Stephen and Niu, Feng},
  title = {{Hogwild!}: A Lock-Free Approach to Parallelizing Stochastic Gradient Descent},
  booktitle = {Advances in Neural Information Processing Systems 24},
  pages = {693--701},
  year = {2011},
  note = {arXiv:1106.5730}
}""",
    "schulman2016": """@inproceedings{schulman2016,
  author = {Schulman, John and Moritz, Philipp and Levine, Sergey and Jordan, Michael and Abbeel, Pieter},
  title = {High-Dimensional Continuous Control Using Generalized Advantage Estimation},
  booktitle = {4th International Conference on Learning Representations},
  year = {2016},
  note = {arXiv:1506.02438}
}""",
    "kingma2015": """@inproceedings{kingma2015,
  author = {Kingma, Diederik P. and Ba, Jimmy},
  title = {{Adam}: A Method for Stochastic Optimization},
  booktitle = {3rd International Conference on Learning Representations},
  year = {2015},
  note = {arXiv:1412.6980}
}""",
    "tieleman2012": """@misc{tieleman2012,
  author = {Tieleman, Tijmen and Hinton, Geoffrey},
  title = {Lecture 6.5: {RMSprop}, Divide the Gradient by a Running Average of Its Recent Magnitude},
  howpublished = {COURSERA: Neural Networks for Machine Learning},
  year = {2012}
}""",
    "hochreiter1997": """@article{hochreiter1997,
  author = {Hochreiter, Sepp and Schmidhuber, J{\\"u}rgen},
  title = {Long Short-Term Memory},
  journal = {Neural Computation},
  volume = {9},
  number = {8},
  pages = {1735--1780},
  year = {1997}
}""",
    "cho2014": """@inproceedings{cho2014,
  author = {Cho, Kyunghyun and van Merri{\\"e}nboer, Bart and Gulcehre, Caglar and Bahdanau, Dzmitry and Bougares, Fethi and
            Schwenk, Holger and Bengio, Yoshua},
  title = {Learning Phrase Representations Using {RNN} Encoder--Decoder for Statistical Machine Translation},
  booktitle = {Proceedings of the 2014 Conference on Empirical Methods in Natural Language Processing},
  pages = {1724--1734},
  year = {2014},
  note = {arXiv:1406.1078}
}""",
    "bellemare2013": """@article{bellemare2013,
  author = {Bellemare, Marc G. and Naddaf, Yavar and Veness, Joel and Bowling, Michael},
  title = {The Arcade Learning Environment: An Evaluation Platform for General Agents},
  journal = {Journal of Artificial Intelligence Research},
  volume = {47},
  pages = {253--279},
  year = {2013}
}""",
    "towers2024": """@misc{towers2024,
  author = {Towers, Mark and Kwiatkowski, Ariel and Terry, Jordan and Balis, John U. and De Cola, Gianluca and Deleu, Tristan
            and Goul{\\~a}o, Manuel and Kallinteris, Andreas and Krimmel, Markus and KG, Arjun and others},
  title = {{Gymnasium}: A Standard Interface for Reinforcement Learning Environments},
  year = {2024},
  note = {arXiv:2407.17032}
}""",
    "paszke2019": """@inproceedings{paszke2019,
  author = {Paszke, Adam and Gross, Sam and Massa, Francisco and Lerer, Adam and Bradbury, James and Chanan, Gregory and
            Killeen, Trevor and Lin, Zeming and Gimelshein, Natalia and Antiga, Luca and others},
  title = {{PyTorch}: An Imperative Style, High-Performance Deep Learning Library},
  booktitle = {Advances in Neural Information Processing Systems 32},
  pages = {8024--8035},
  year = {2019},
  note = {arXiv:1912.01703}
}""",
    "agarwal2021": """@inproceedings{agarwal2021,
  author = {Agarwal, Rishabh and Schwarzer, Max and Castro, Pablo Samuel and Courville, Aaron and Bellemare, Marc G.},
  title = {Deep Reinforcement Learning at the Edge of the Statistical Precipice},
  booktitle = {Advances in Neural Information Processing Systems 34},
  pages = {29304--29320},
  year = {2021},
  note = {arXiv:2108.13264}
}""",
    "yuen1974": """@article{yuen1974,
  author = {Yuen, Karen K.},
  title = {The Two-Sample Trimmed t for Unequal Population Variances},
  journal = {Biometrika},
  volume = {61},
  number = {1},
  pages = {165--170},
  year = {1974}
}""",
    "lan1983": """@article{lan1983,
  author = {Lan, K. K. Gordon and DeMets, David L.},
  title = {Discrete Sequential Boundaries for Clinical Trials},
  journal = {Biometrika},
  volume = {70},
  number = {3},
  pages = {659--663},
  year = {1983}
}""",
}


def cited_keys(runs: Iterable[RunData], has_verdicts: bool) -> list[str]:
    """The keys of what a text on ``runs`` should cite, in the order of the bibliography."""
    used = {"mnih2016", "paszke2019"} | ({"agarwal2021", "yuen1974"} if has_verdicts else set())
    used.update(key for run in runs for key in _keys_of(run))
    return [key for key in _ENTRIES if key in used]


def bibliography(runs: Iterable[RunData], has_verdicts: bool) -> str:
    """BibTeX of ``cited_keys``."""
    return "\n\n".join(_ENTRIES[key] for key in cited_keys(runs, has_verdicts)) + "\n"


def has_looks(run: RunData) -> bool:
    """Whether a run belongs to an ablation whose seeds came in batches."""
    return bool(select(run.config, "ablation.report.looks"))


def class_name(run: RunData, group: str) -> str:
    """The class that a run's option of a group names: ``Hogwild``; empty if that is not known."""
    return str(mapping(run.config.get(group)).get("_target_") or "").rpartition(".")[2]


def _keys_of(run: RunData) -> Iterator[str]:
    optimizer, model = class_name(run, "optimizer").lower(), str(mapping(run.config.get("model"))).lower()
    found = {
        "recht2011": class_name(run, "parallelism") == "Hogwild",
        "schulman2016": isinstance(gae := select(run.config, "gae_lambda"), int | float) and gae < 1,
        "kingma2015": "adam" in optimizer,
        "tieleman2012": "rmsprop" in optimizer,
        "hochreiter1997": "lstm" in model,
        "cho2014": "gru" in model,
        "bellemare2013": str(select(run.config, "env.id")).startswith("ALE/"),
        "lan1983": has_looks(run),
        "towers2024": "gymnasium" in mapping(run.run_json.get("versions")),
    }
    return (key for key, used in found.items() if used)
