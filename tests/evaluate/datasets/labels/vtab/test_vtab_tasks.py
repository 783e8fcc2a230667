from collections import Counter

from openalign.evaluate.datasets.class_names.known import class_names_of, templates_of
from openalign.evaluate.datasets.class_names.known_lists import CLASS_NAMES, TEMPLATES
from openalign.evaluate.datasets.labels.vtab.vtab_tasks import TASK_OF, VTAB_TASKS


def test_there_are_nineteen_in_three_groups() -> None:
    assert len(VTAB_TASKS) == len(TASK_OF) == 19
    groups = Counter(task.group for task in VTAB_TASKS)
    assert groups == {"natural": 7, "specialized": 4, "structured": 8}
    assert list(groups) == ["natural", "specialized", "structured"]


def test_the_papers_means_are_those_over_tasks() -> None:
    by_group = {"natural": 83.38, "specialized": 87.56, "structured": 73.25}

    mean = sum(by_group[task.group] for task in VTAB_TASKS) / len(VTAB_TASKS)

    assert round(mean, 2) == 79.99  # Table 6; a mean over the three groups would be 81.40


def test_no_two_tasks_share_a_folder_of_lists() -> None:
    assert len({task.folder for task in VTAB_TASKS}) == 19


def test_known_names_fit_the_number_of_classes() -> None:
    with_names = [task for task in VTAB_TASKS if task.name in CLASS_NAMES]

    assert len(with_names) == 11
    for task in with_names:
        assert len(class_names_of(task.name)) == task.num_classes, task.name
    assert all(templates_of(task.name) for task in VTAB_TASKS if task.name in TEMPLATES)
