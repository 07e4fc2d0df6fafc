"""The shop's own tests, which `manage.py test` runs in databases that it makes and drops."""

from django.db import IntegrityError, connection, transaction
from django.test import TestCase, TransactionTestCase

from shop.models import Counter, Customer


class CounterTests(TestCase):
    """Each test is a transaction that is rolled back, and setUpTestData a savepoint below it."""

    @classmethod
    def setUpTestData(cls):
        cls.counter = Counter.objects.create(name="mine")

    def test_counts_up(self):
        with self.assertNumQueries(1):
            Counter.objects.filter(pk=self.counter.pk).update(value=5)
        self.counter.refresh_from_db()
        self.assertEqual(self.counter.value, 5)

    def test_starts_at_nothing(self):
        self.assertEqual(list(Counter.objects.values_list("name", "value")), [("mine", 0)])

    def test_names_are_unique(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            Counter.objects.create(name="mine")
        self.assertEqual(Counter.objects.count(), 1)

    def test_callbacks_run_after_the_commit(self):
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            transaction.on_commit(lambda: None)
        self.assertEqual(len(callbacks), 1)


class CustomerTests(TransactionTestCase):
    """Commits are real, and each test ends with TRUNCATE."""

    reset_sequences = True

    def test_debts_are_refused(self):
        customer = Customer.objects.create(name="first")
        self.assertEqual(customer.pk, 1)
        with self.assertRaises(IntegrityError):
            Customer.objects.filter(pk=customer.pk).update(balance=-1)

    def test_sequences_begin_again(self):
        self.assertEqual(Customer.objects.create(name="again").pk, 1)

    def test_rows_are_read_in_parts(self):
        Counter.objects.bulk_create(Counter(name=f"{n}", value=n) for n in range(300))
        values = Counter.objects.order_by("value").values_list("value", flat=True)
        self.assertEqual(list(values.iterator(chunk_size=50)), list(range(300)))

    def test_runs_in_a_database_of_its_own(self):
        self.assertRegex(connection.settings_dict["NAME"], r"^test_app")
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database()")
            self.assertEqual(cursor.fetchone()[0], connection.settings_dict["NAME"])
